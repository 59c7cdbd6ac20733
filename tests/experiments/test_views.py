"""Views that the data do not have are refused."""

import dataclasses

import pytest
from conftest import small_model

from stfn_keras.data.manifest import Manifest
from stfn_keras.errors import UserError
from stfn_keras.experiments.views import check_views


@pytest.mark.parametrize(
    ("views", "flip", "message"),
    [
        ("2", True, "must be SxC"),
        ("1x3", True, "must be one of"),
        ("1x10", False, "prepared with --noflip"),
        ("3x1", True, "7 snippets per video, enough for 2 samplings of 3 segments"),
    ],
)
@pytest.mark.parametrize("kind", ["stfn", "late_fusion"])
def test_what_cannot_be_seen_is_named(dataset, kind, views, flip, message):
    manifest = dataclasses.replace(Manifest.load(dataset), flip=flip)
    model = small_model(network=kind)
    check_views(model, "", manifest)
    check_views(model, "2x5", manifest)
    with pytest.raises(UserError, match=message):
        check_views(model, views, manifest)

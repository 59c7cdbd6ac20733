"""OpenVINO models: the same scores, float32 in the file and while computing."""

import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.exporting.formats import FORMATS, convert
from stfn_keras.serving.runtimes.open import load_runtime

pytest.importorskip("openvino", reason="the extra [openvino]")


def test_gives_the_networks_scores_in_float32(saved, tmp_path):
    convert("openvino", saved.folder, tmp_path)
    runtime = load_runtime(tmp_path, "openvino", threads=1)
    found = runtime.predict(saved.views)
    for key in ("scores", "logits"):
        np.testing.assert_allclose(found[key], saved.found[key], atol=1e-5)
    one = {stream: view[1:2] for stream, view in saved.views.items()}
    alone = runtime.predict(one)["scores"]
    np.testing.assert_allclose(alone, found["scores"][1:2], atol=1e-6)
    weights = (tmp_path / FORMATS["openvino"].files[1]).stat().st_size
    assert 3.6 * saved.parameters < weights < 4.4 * saved.parameters
    hint = runtime._model.get_property("INFERENCE_PRECISION_HINT")
    assert "f32" in str(hint) or "float32" in str(hint)


def test_what_openvino_cannot_read_is_refused_in_a_line(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"no SavedModel")
    with pytest.raises(UserError, match="OpenVINO must be able to read") as refused:
        convert("openvino", tmp_path, tmp_path)
    assert "\n" not in str(refused.value)

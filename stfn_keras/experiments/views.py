"""What `--views SxC` of an experiment means for each network, so that rows compare.

samplings, crops = views_of(model, "2x1")  # (14, 1) for late fusion of 7 segments
check_views(model, "2x1", manifest)        # before anything is trained

S is of a fusion network, which sees its T segments S times; a network of independent
snippets sees as many of them, S x T.
"""

from stfn_keras.config import ModelConfig
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.pipeline import check_crops
from stfn_keras.errors import UserError
from stfn_keras.evaluation.evaluate import parse_views


def views_of(model: ModelConfig, views: str) -> tuple[int, int]:
    """Samplings and crops as `evaluate.py` counts them; of the centre view if empty.

    Raises:
        UserError: `views` has another form.
    """
    samplings, crops = parse_views(views or "1x1")
    return samplings * (model.segments if model.views_are_snippets else 1), crops


def check_views(model: ModelConfig, views: str, manifest: Manifest) -> None:
    """Refuse views that the data do not have.

    Raises:
        UserError: The form is another, the crops are not offered or mirror data that
            must not be mirrored, or a snippet would be seen more than once.
    """
    _, crops = views_of(model, views)
    check_crops(manifest, crops)
    samplings, _ = parse_views(views or "1x1")
    most = manifest.snippets // model.segments
    if samplings > max(most, 1):
        raise UserError(
            f"--views: the data hold {manifest.snippets} snippets per video, enough "
            f"for {most} samplings of {model.segments} segments. Received: {views!r}"
        )

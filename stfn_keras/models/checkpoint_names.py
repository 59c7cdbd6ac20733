"""The variables of published TensorFlow checkpoints, by the layers of our towers.

found = by_layer(variables, tower, "model.ckpt")
found.arrays["Mixed_3b_Branch_1_Conv3d_0b_3x3_bn"]  # [beta, mean, variance]
found.classifier                                    # [kernel, bias] of 400 classes

Two kinds are known: DeepMind's I3D (`RGB/inception_i3d/...`, `Flow/inception_i3d/...`)
and TF-slim's Inception-v1 of images (`InceptionV1/...`), for towers of `inception_v1`.
Every variable has its place, found by its name; none may be missing or left.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.models.lift import without_lifts
from stfn_keras.models.weight_files import weighted_layers

Variables = Mapping[str, np.ndarray]

NORM = ("beta", "moving_mean", "moving_variance")  # in the order of Keras' layer


@dataclass(frozen=True)
class Kind:
    """How one kind of checkpoint names its variables.

    Attributes:
        description: For messages.
        scope: Regular expression of what stands before a layer's name.
        kernel: What stands behind a convolution's.
        bias: Likewise.
        norm: Stands between the name of a convolution and a variable of its
            normalisation.
        classifier: Its classifier's layer.
        dims: 2 of images, 3 of clips.
    """

    description: str
    scope: str
    kernel: str
    bias: str
    norm: str
    classifier: str
    dims: int


KINDS = (
    Kind(
        "DeepMind's I3D", r"(?:RGB|Flow)/inception_i3d/", "/conv_3d/w", "/conv_3d/b",
        "/batch_norm/", "Logits/Conv3d_0c_1x1", 3,
    ),
    Kind(
        "TF-slim's Inception-v1", "InceptionV1/", "/weights", "/biases",
        "/BatchNorm/", "Logits/Conv2d_0c_1x1", 2,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A checkpoint's variables in Keras' order.

    Attributes:
        arrays: By the name of the tower's layer.
        classifier: Kernel `(features, classes)` and bias `(classes,)`; none where
            the checkpoint has no classifier.
    """

    arrays: dict[str, list[np.ndarray]]
    classifier: list[np.ndarray]


def by_layer(variables: Variables, tower: keras.Model, origin: str) -> Found:
    """Find the arrays of every layer of a tower among a checkpoint's variables.

    Args:
        variables: By their names in the checkpoint. Those of no network, such as a
            count of steps, are not looked at.
        tower: From `build_tower`, of Inception-v1 or I3D.
        origin: What the message of an error begins with.

    Raises:
        UserError: The checkpoint is of no known kind, of clips where the tower is of
            images, or of other layers than the tower's; names which.
    """
    kind, own = _known(variables, origin)
    layers = without_lifts(weighted_layers(tower))
    if kind.dims == 3 and isinstance(layers[0], keras.layers.Conv2D):
        raise UserError(
            f"{origin}: expected weights of images for this tower. Received: "
            f"{kind.description}, which reads clips: give --tower=i3d"
        )
    arrays: dict[str, list[np.ndarray]] = {}
    missing, used = [], set()
    for layer in layers:
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        name = _theirs(layer.name.removesuffix("_bn"), kind)
        behind = [f"{kind.norm}{x}" for x in NORM] if is_norm else [kind.kernel]
        names = [name + x for x in behind]
        used |= set(names)
        if lost := [name for name in names if name not in own]:
            missing += lost
            continue
        arrays[layer.name] = [_flat(own[x]) if is_norm else own[x] for x in names]
    ends = [kind.classifier + x for x in (kind.kernel, kind.bias)]
    unknown = own.keys() - used - set(ends)
    if missing or unknown:
        raise UserError(
            f"{origin}: expected exactly the variables of the tower's {len(layers)} "
            f"layers, as {kind.description} has them. Missing: {_some(missing)}. "
            f"Unknown: {_some(unknown)}. Check --tower against the checkpoint"
        )
    classifier = [own[x] for x in ends if x in own]
    if classifier:
        classifier[0] = classifier[0].reshape(classifier[0].shape[-2:])
    return Found(arrays, classifier)


def _known(variables: Variables, origin: str) -> tuple[Kind, dict[str, np.ndarray]]:
    """The checkpoint's kind, and its variables without their scope."""
    for kind in KINDS:
        own = {
            name[match.end() :]: array
            for name, array in variables.items()
            if (match := re.match(kind.scope, name))
        }
        if own:
            return kind, own
    known = " or ".join(kind.description for kind in KINDS)
    raise UserError(
        f"{origin}: expected a checkpoint of {known}, with variables such as "
        f"RGB/inception_i3d/... Received: {_some(variables)}"
    )


def _theirs(name: str, kind: Kind) -> str:
    """The scope of a layer in the checkpoint."""
    name = re.sub(r"(Mixed_\d[a-z])_(Branch_\d)_", r"\1/\2/", name)
    return re.sub(r"Conv\dd_", f"Conv{kind.dims}d_", name)


def _flat(array: np.ndarray) -> np.ndarray:
    """Statistics may be kept as (1, 1, 1, 1, channels)."""
    return array.reshape(-1) if array.size == array.shape[-1] else array


def _some(names: object) -> str:
    ordered = sorted(names)  # type: ignore[call-overload]
    return ", ".join(ordered[:3]) + (", ..." if len(ordered) > 3 else "") or "none"

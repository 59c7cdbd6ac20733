"""Why a network decided so: where each tower looked, and what each segment added.

    explainer = Explainer(trained_network(run), run.model)
    found = explainer.explain({"rgb": frames, "flow": codes})
    found.maps["rgb"]  # float32 (T, H, W), 0..1

Grad-CAM (T: Selvaraju et al., 2017) at the maps that a tower pools: the last ones that
still have a place, whatever the tower. A segment's contribution is what the logit of
the class loses when the segment's features become the mean of the other segments'.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import keras
import numpy as np
import tensorflow as tf

from stfn_keras import models
from stfn_keras.config import STREAMS, ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.training.stages import tower_of

BOTH = "both"  # all streams' segments at once


@dataclass(frozen=True)
class Explanation:
    """Why one video got its score of one class.

    Attributes:
        target: The class, a place in the run's labels.
        logits: float32 (C,).
        maps: By stream, float32 (T, H, W) of the input's size, 0..1: 1 is the place
            of all segments that speaks most for the class. All 0 where none does.
        contributions: By stream, and `both` where there are several, float32 (T,), in
            logits of the class.
    """

    target: int
    logits: np.ndarray
    maps: dict[str, np.ndarray]
    contributions: dict[str, np.ndarray]

    @property
    def score(self) -> float:
        """The class's softmax score."""
        return float(self._scores()[self.target])

    @property
    def highest(self) -> float:
        """The predicted class's softmax score."""
        return float(self._scores().max())

    def _scores(self) -> np.ndarray:
        shifted = np.exp(self.logits - self.logits.max())
        return shifted / shifted.sum()


class Explainer:
    """A network cut where its towers pool and where their features leave them.

    Args:
        network: A trained network; its weights are shared.
        model: What it was built from.

    Raises:
        UserError: Keras runs on another backend than TensorFlow; or the network
            reads more of its towers than their pooled features.
    """

    def __init__(self, network: keras.Model, model: ModelConfig) -> None:
        if not model.has_head:
            raise UserError(
                "heat maps are drawn where a tower pools its last maps, and the "
                f"--network={model.network} has no such place"
            )
        if keras.backend.backend() != "tensorflow":
            raise UserError(
                "heat maps need KERAS_BACKEND=tensorflow, which opens runs of every "
                f"backend. Received: {keras.backend.backend()}"
            )
        classes = int(network.output["logits"].shape[-1])
        self._head = models.build_head(model, classes, models.feature_size(model))
        models.copy_by_name(network, self._head)
        self._before, self._behind = {}, {}
        for stream in model.streams:
            tower = tower_of(network, stream)
            pooled = _pooled_maps(tower)
            self._before[stream] = keras.Model(tower.inputs[0], pooled)
            self._behind[stream] = keras.Model(pooled, tower.outputs[0])
        self._gradients = tf.function(self._maps_and_gradients)

    def explain(
        self, views: Mapping[str, np.ndarray], target: int | None = None
    ) -> Explanation:
        """Explain one video's score.

        Args:
            views: `rgb` and `flow`, uint8 (T, H, W, C), as the network takes them.
            target: The class; None for the one with the highest score.
        """
        shown = {s: tf.constant(views[STREAMS[s].reads]) for s in self._before}
        features = {
            f"{stream}_features": behind(self._before[stream](shown[stream]))[None]
            for stream, behind in self._behind.items()
        }  # (1, T, F)
        features = {name: np.asarray(found) for name, found in features.items()}
        logits = np.asarray(self._head(features)["logits"])[0]
        chosen = int(logits.argmax()) if target is None else target
        maps, gradients = self._gradients(shown, tf.constant(chosen))
        return Explanation(
            chosen,
            logits,
            {
                stream: _heat(maps[stream], gradients[stream], shown[stream].shape[1:3])
                for stream in maps
            },
            self._contributions(
                {k: np.asarray(v) for k, v in features.items()}, chosen
            ),
        )

    def _maps_and_gradients(
        self, views: dict[str, tf.Tensor], target: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Maps (T, h, w, C) by stream, and the class's logit derived by them."""
        with tf.GradientTape() as tape:
            maps = {stream: self._before[stream](views[stream]) for stream in views}
            tape.watch(maps)
            features = {
                f"{stream}_features": self._behind[stream](found)[None]
                for stream, found in maps.items()
            }
            logit = self._head(features)["logits"][0, target]
        gradients = tape.gradient(
            logit, maps, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return maps, gradients

    def _contributions(
        self, features: dict[str, np.ndarray], target: int
    ) -> dict[str, np.ndarray]:
        """What the logit loses without each segment: of each stream, and of both."""
        ways = {name.removesuffix("_features"): [name] for name in features}
        if len(features) > 1:
            ways[BOTH] = list(features)
        (segments,) = {found.shape[1] for found in features.values()}
        rows = {name: [found[0]] for name, found in features.items()}
        for changed in ways.values():
            for segment in range(segments):
                for name, found in features.items():
                    without = name in changed
                    rows[name].append(
                        _without(found[0], segment) if without else found[0]
                    )
        outputs = self._head({name: np.stack(each) for name, each in rows.items()})
        logits = np.asarray(outputs["logits"])[:, target]
        lost = (logits[0] - logits[1:]).reshape(len(ways), segments)
        return dict(zip(ways, lost.astype(np.float32), strict=True))


def _pooled_maps(tower: keras.Model) -> keras.KerasTensor:
    """The maps (batch, h, w, C) that a tower averages over space at its end."""
    for layer in reversed(tower.layers):
        if isinstance(layer, keras.layers.GlobalAveragePooling2D):
            return layer.input
    raise UserError(
        f"the tower {tower.name} pools no maps: there is nothing to look at"
    )


def _heat(maps: tf.Tensor, gradients: tf.Tensor, size: tuple[int, int]) -> np.ndarray:
    """Grad-CAM of all segments on one scale; float32 (T, *size), 0..1."""
    weights = np.asarray(gradients).mean(axis=(1, 2), keepdims=True)  # (T, 1, 1, C)
    heat = np.maximum((weights * np.asarray(maps)).sum(axis=-1), 0).astype(np.float32)
    height, width = size
    large = np.stack(
        [cv2.resize(m, (width, height), interpolation=cv2.INTER_LINEAR) for m in heat]
    )
    return large / max(float(large.max()), np.finfo(np.float32).tiny)


def _without(features: np.ndarray, segment: int) -> np.ndarray:
    """Features (T, F) with a segment's replaced by the others' mean; 0 for T = 1."""
    changed = features.copy()
    others = np.delete(features, segment, axis=0)
    changed[segment] = others.mean(axis=0) if len(others) else 0.0
    return changed

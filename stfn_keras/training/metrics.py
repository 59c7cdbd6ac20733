"""Training metrics that Keras does not have."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="stfn_keras")
class MeanClassAccuracy(keras.metrics.Metric):
    """Mean over the classes seen of each class's accuracy (T: TSN reports this).

    Args:
        classes: Number of classes.
        name: Name of the metric.

    Input shape: one-hot labels and logits, both (batch, classes).
    """

    def __init__(
        self, classes: int, name: str = "mean_class", dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.classes = classes
        self.right = self.add_variable((classes,), "zeros", name="right")
        self.seen = self.add_variable((classes,), "zeros", name="seen")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch; `sample_weight` is not supported and ignored by design."""
        y_true = ops.cast(y_true, self.dtype)
        truth = ops.one_hot(ops.argmax(y_true, -1), self.classes, dtype=self.dtype)
        hits = ops.cast(
            ops.equal(ops.argmax(y_true, -1), ops.argmax(y_pred, -1)), self.dtype
        )
        self.seen.assign_add(ops.sum(truth, axis=0))
        self.right.assign_add(ops.sum(truth * hits[:, None], axis=0))

    def result(self) -> Any:
        """Mean accuracy, 0..1, over the classes that occurred."""
        present = ops.cast(self.seen > 0, self.dtype)
        per_class = self.right / ops.maximum(self.seen, 1.0)
        return ops.sum(per_class * present) / ops.maximum(ops.sum(present), 1.0)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "classes": self.classes}

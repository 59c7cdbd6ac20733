"""What the training loop asks of a backend and its devices.

engine = make_engine(MachineConfig(strategy="mirrored"))
with engine.scope():
    model = build()
    optimizer.build(model.trainable_variables)
steps = engine.steps(Fitted(model, objective, optimizer))
for batch in engine.batches(lambda share: dataset(share)):
    sums.add(steps.train(batch))
steps.sync()                    # now the model has the weights
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import keras
import tensorflow as tf

from stfn_keras.data.share import Share
from stfn_keras.training.objective import Objective

Made = TypeVar("Made")
MakeBatches = Callable[[Share], tf.data.Dataset]


@dataclass(frozen=True)
class Fitted:
    """What steps are computed with.

    Attributes:
        model: From inputs to a dictionary of logits.
        objective: What is minimised.
        optimizer: Built on the model's trainable variables.
        accumulate_steps: Parts in which a batch is computed.
    """

    model: keras.Model
    objective: Objective
    optimizer: keras.Optimizer
    accumulate_steps: int = 1


class Steps(Protocol):
    """The steps of one stage."""

    def train(self, batch: Any) -> dict[str, Any]:
        """Update the weights by one batch; its sums, see `Objective`."""

    def evaluate(self, batch: Any) -> dict[str, Any]:
        """The sums of a batch that nothing is learnt from."""

    def sync(self) -> None:
        """Bring weights and the optimiser's state into the Keras variables."""


class Engine(Protocol):
    """A backend and the devices that it uses.

    Attributes:
        replicas: Copies of the network; a batch is divided among them.
        is_chief: Whether this process writes what all of them make.
    """

    replicas: int
    is_chief: bool

    def scope(self) -> AbstractContextManager:
        """Within it networks and optimisers are built."""

    def together(self) -> AbstractContextManager:
        """What all workers do at the same time: it begins and ends for all at once.

        Raises:
            UserError: Another worker ended meanwhile.
        """

    def agree(self, number: int) -> bool:
        """Whether all workers have this number; to be asked by all at the same time.

        Where they differ at least one of them is told so.

        Raises:
            UserError: Another worker ended meanwhile.
        """

    def batches(self, make: MakeBatches, padded: bool = False) -> Iterable[Any]:
        """Batches as the steps take them.

        Args:
            make: Gives the dataset of one reader's share of the batches.
            padded: Whether the last batch may be smaller; it is filled with videos
                that do not count.
        """

    def steps(self, fitted: Fitted) -> Steps:
        """The steps of a stage."""

    def first_batch(self, batch: Any) -> tuple:
        """What this process sees of a batch: arrays (inputs, labels, ...)."""


def chief_first(engine: Engine, make: Callable[[], Made]) -> Made:
    """Let the worker that writes make something, then the others, who find it there.

    Raises:
        UserError: Another worker ended meanwhile.
    """
    made = None
    with engine.together():
        if engine.is_chief:
            made = make()
    return made if engine.is_chief else make()  # type: ignore[return-value]

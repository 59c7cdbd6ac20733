"""What a training has besides weights, as arrays inside its checkpoint.

state = TrainingState.of(model, optimizer, sums.arrays)
write_state(path, state)        # adds it to a `.keras` file
read_state(path).restore(model, optimizer)

Keras does not store the counters that dropout draws from, and its own record of an
optimiser needs a compiled model.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from stfn_keras.errors import UserError

MEMBER = "training_state.npz"  # beside Keras' own files in the archive


def dropout_states(model: keras.Model) -> list[keras.Variable]:
    """The (seed, counter) variables that dropout draws from."""
    return [v for v in model.variables if v.path.endswith("seed_generator_state")]


@dataclass(frozen=True)
class TrainingState:
    """Arrays in the order of the variables that they belong to.

    Attributes:
        optimizer: Of the optimiser's variables.
        dropout: Of `dropout_states`.
        sums: Of the epoch so far, by name; see `objective.Sums`.
    """

    optimizer: list[np.ndarray]
    dropout: list[np.ndarray]
    sums: dict[str, np.ndarray]

    @classmethod
    def of(
        cls,
        model: keras.Model,
        optimizer: keras.Optimizer,
        sums: Mapping[str, np.ndarray],
    ) -> "TrainingState":
        """Copy the state of a training."""
        return cls(
            [keras.ops.convert_to_numpy(v.value) for v in optimizer.variables],
            [keras.ops.convert_to_numpy(v.value) for v in dropout_states(model)],
            {name: np.asarray(value) for name, value in sums.items()},
        )

    def restore(self, model: keras.Model, optimizer: keras.Optimizer) -> None:
        """Set the variables.

        Raises:
            UserError: They are not those of this state.
        """
        for variables, arrays, what in (
            (optimizer.variables, self.optimizer, "optimiser"),
            (dropout_states(model), self.dropout, "dropout layers"),
        ):
            shapes = [tuple(v.shape) for v in variables]
            if shapes != [a.shape for a in arrays]:
                raise UserError(
                    f"the checkpoint's {what} has other variables than this training's"
                )
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)


def write_state(path: Path, state: TrainingState) -> None:
    """Add a state to a `.keras` file."""
    arrays = {f"optimizer/{k:05d}": a for k, a in enumerate(state.optimizer)}
    arrays |= {f"dropout/{k:05d}": a for k, a in enumerate(state.dropout)}
    arrays |= {f"sums/{name}": a for name, a in state.sums.items()}
    memory = io.BytesIO()
    np.savez(memory, **arrays)  # type: ignore[arg-type]
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as file:
        file.writestr(MEMBER, memory.getbuffer())  # type: ignore[arg-type]


def read_state(path: Path) -> TrainingState:
    """Read what `write_state` added; nothing in it is ever run.

    Raises:
        UserError: The file holds no such state.
    """
    try:
        with zipfile.ZipFile(path) as file:
            memory = io.BytesIO(file.read(MEMBER))
        with np.load(memory, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} holds no state of a training, as of a run that another version "
            f"began: {error}"
        ) from error

    def of(kind: str) -> dict[str, np.ndarray]:
        start = f"{kind}/"
        return {
            n.removeprefix(start): a for n, a in found.items() if n.startswith(start)
        }

    return TrainingState(
        list(of("optimizer").values()), list(of("dropout").values()), of("sums")
    )

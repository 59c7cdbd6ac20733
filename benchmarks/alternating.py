"""The training loop and something else, step by step in turns.

    engine = Alternating(make_engine(MachineConfig()), turns, {"bare": step}, warmups=2)
    fit_stage(stage, model, batches, None, engine)
    print(turns.compared("loop", "bare"))

The loop's turn is all that it does between two batches that it asks for, getting the
batch included. A stage of one epoch without validation is expected.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from turns import Turns


class Alternating:
    """An engine that does something else after every step of the loop.

    Args:
        engine: What computes the steps.
        turns: Gets the loop's times as "loop".
        others: What is done, and timed, between two steps of the loop, by name.
        warmups: Steps that are not counted.
    """

    def __init__(
        self,
        engine: Any,
        turns: Turns,
        others: Mapping[str, Callable[[], object]],
        warmups: int,
    ) -> None:
        self._engine, self._turns, self._others = engine, turns, others
        self._warmups = warmups

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def batches(self, make: Callable, padded: bool = False) -> Iterator[Any]:
        """The engine's batches; a turn ends where the next batch is asked for."""
        waiting, step = iter(self._engine.batches(make, padded)), 0
        while True:
            turns = self._turns if step >= self._warmups else Turns()
            began = time.perf_counter(), time.process_time()
            batch = next(waiting, None)
            if batch is None:
                return
            yield batch
            wall, cpu = time.perf_counter(), time.process_time()
            turns.add("loop", wall - began[0], cpu - began[1])
            for name, other in self._others.items():
                with turns(name):
                    other()
            step += 1

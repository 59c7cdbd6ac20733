"""Several machines: who they are (TF_CONFIG), meeting them, and losing one.

    strategy = meet_workers()
    with naming_lost_workers():
        ...                       # a worker that is lost is a UserError

Every worker runs the same command on a shared `--out`; the first one writes.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import tensorflow as tf

from stfn_keras.errors import UserError

EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
# What collectives of a worker raise when another is gone.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


@dataclass(frozen=True)
class Workers:
    """What TF_CONFIG says.

    Attributes:
        addresses: host:port of every worker; the first is the one that writes.
        index: This process' place among them.
    """

    addresses: tuple[str, ...]
    index: int

    @classmethod
    def from_environment(cls) -> "Workers":
        """Read TF_CONFIG.

        Raises:
            UserError: It is missing or wrong; says what is expected.
        """
        text = os.environ.get("TF_CONFIG", "")
        try:
            config = json.loads(text)
            cluster, task = config["cluster"], config["task"]
            addresses = [str(a) for job in ("chief", "worker")
                         for a in cluster.get(job, [])]  # fmt: skip
            index = int(task["index"])
            if task["type"] == "worker":
                index += len(cluster.get("chief", []))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _wrong(text, repr(error)) from error
        if others := sorted(set(cluster) - {"chief", "worker"}):
            raise _wrong(text, f"there are jobs {', '.join(others)}")
        if task["type"] not in cluster:
            raise _wrong(text, f"the task is a {task['type']}, of which there is none")
        if not 0 <= index < len(addresses):
            raise _wrong(text, f"the task's index is {task['index']}")
        if len(set(addresses)) < len(addresses):
            raise _wrong(text, "an address occurs twice")
        if wrong := [a for a in addresses if not a.rpartition(":")[2].isdigit()]:
            raise _wrong(text, f"{wrong[0]} has no port")
        return cls(tuple(addresses), index)


def _wrong(text: str, why: str) -> UserError:
    return UserError(
        f"--strategy=multi_worker expects TF_CONFIG such as {EXAMPLE}, with this "
        f"worker's own index. Received: {text or 'none'} ({why})"
    )


@cache  # they can be met once in a process
def meet_workers() -> tf.distribute.Strategy:
    """TensorFlow's strategy over all workers; waits until every one is there.

    Raises:
        UserError: TF_CONFIG is missing or wrong, or TensorFlow runs already.
    """
    workers = Workers.from_environment()
    if len(workers.addresses) > 1:
        print(
            f"worker {workers.index + 1} of {len(workers.addresses)} waits for the "
            f"others: {', '.join(workers.addresses)}",
            file=sys.stderr,
            flush=True,
        )
    try:
        with naming_lost_workers():
            return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise UserError(
            f"the workers could not be met: {error}. Each needs a free port of its own "
            "at its address in TF_CONFIG, and a new process"
        ) from error


@contextmanager
def naming_lost_workers() -> Iterator[None]:
    """Say that another worker ended, where TensorFlow says that a collective failed.

    Raises:
        UserError: A worker was lost; the training can be continued by all.
    """
    try:
        yield
    except LOST as error:
        raise UserError(
            "another worker of this training ended or cannot be reached, so this one "
            "ends too. Nothing is lost but the steps since the last checkpoint: start "
            "the same command on all workers again. TensorFlow said: "
            + str(error.message).splitlines()[0][:200]
        ) from error

"""What the shard jobs of one process share: decoding processes, and a way to stop.

    with Jobs(progress) as shared:  # in the launcher; shared.key travels with the jobs
        ...
    with jobs_of(key).decoder(limits) as decoder:  # in a job, on any thread
        ...

Where the launcher runs the jobs in its own process, they report to it and stop with
it. On a cluster a key is known to no process but the launcher's; there the jobs share
decoding processes for as long as their process lives.
"""

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator

from data_prep.jobs.isolated import Decoder, Prepare, ProcessLimits, StoppedError
from data_prep.jobs.item import prepare_item
from data_prep.jobs.job import Outcome

PATIENCE = 30.0  # seconds to wait for jobs that were told to stop


class Jobs:
    """The jobs of one launcher, or of a process without one.

    Args:
        progress: Called after each video, from one thread at a time.

    Attributes:
        key: By which jobs find this.
        failure: Why the first shard that failed cannot be made; empty if none did.
    """

    def __init__(self, progress: Callable[[Outcome], None] | None = None) -> None:
        self.key = uuid.uuid4().hex
        self.failure = ""
        self._progress = progress
        self._stopped = False
        self._busy: list[Decoder] = []
        self._idle: dict[tuple[ProcessLimits, Prepare], list[Decoder]] = {}
        self._change = threading.Condition(threading.RLock())

    def __enter__(self) -> "Jobs":
        _LAUNCHED[self.key] = self
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        with self._change:
            # Jobs run on Beam's threads, which an interrupted launcher does not await.
            self._change.wait_for(lambda: not self._busy, PATIENCE)
            for decoders in self._idle.values():
                for decoder in decoders:
                    decoder.__exit__()
        del _LAUNCHED[self.key]

    def progress(self, outcome: Outcome) -> None:
        """Tell the launcher of a video."""
        if self._progress:
            with self._change:
                self._progress(outcome)

    def fail(self, message: str) -> None:
        """Stop the launcher's other jobs, which Beam would first let run to the end."""
        if self.key in _LAUNCHED:
            self.failure = self.failure or message
            self.stop()

    def stop(self) -> None:
        """End the decoding processes; jobs that have not begun will not."""
        with self._change:
            self._stopped = True
            for decoder in self._busy:
                decoder.stop()

    @contextlib.contextmanager
    def decoder(
        self, limits: ProcessLimits, prepare: Prepare = prepare_item
    ) -> Iterator[Decoder]:
        """A decoder for one job: an idle one if there is any, for starting takes time.

        Raises:
            StoppedError: `stop` was called.
        """
        with self._change:
            if self._stopped:
                raise StoppedError
            idle = self._idle.setdefault((limits, prepare), [])
            decoder = idle.pop() if idle else Decoder(limits, prepare)
            self._busy.append(decoder)
        try:
            yield decoder
        finally:
            with self._change:
                self._busy.remove(decoder)
                idle.append(decoder)
                self._change.notify_all()


_LAUNCHED: dict[str, Jobs] = {}
_ELSEWHERE = Jobs()


def jobs_of(key: str) -> Jobs:
    """What the jobs with that key share in this process."""
    return _LAUNCHED.get(key, _ELSEWHERE)

"""Try again what nobody answered, a little later each time, until the deadline.

answer = retried(lambda left: transport.call("fuse", inputs, left), timeout=60.0)

Only `Unavailable` is tried again: an answer, even a refusal, would be the same.
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from stfn_keras.serving.client.transport import Unavailable

FIRST, GROWTH, LONGEST = 0.1, 2.0, 2.0  # seconds between tries

Answer = TypeVar("Answer")


def retried(
    call: Callable[[float], Answer],
    timeout: float,
    retries: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """Call until it is answered.

    Args:
        call: Takes the seconds that are left.
        timeout: Seconds for all tries together.
        retries: Tries after the first, at most; None for as many as fit the time.
        sleep: Waits some seconds.
        clock: Tells the time in seconds.

    Raises:
        Unavailable: Nobody answered the last try, or there is no time for another.
    """
    end = clock() + timeout
    wait = FIRST
    tried = 0
    while True:
        try:
            return call(end - clock())
        except Unavailable:
            tried += 1
            # Drawn, so that clients that failed together do not come back together.
            pause = wait * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
            # A try that had no time would tell of that, not of who was not there.
            late = clock() + pause + FIRST >= end
            if late or (retries is not None and tried > retries):
                raise
            sleep(pause)
            wait = min(wait * GROWTH, LONGEST)

"""Try again what nobody answered, a little later each time, until the deadline.

answer = retried(lambda left: transport.call("fuse", inputs, left), 60.0, retries=4)

Only `Unavailable` is tried again: an answer, even a refusal, would be the same.
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from stfn_keras.serving.client.transport import Unavailable

FIRST, GROWTH, LONGEST = 0.1, 2.0, 5.0  # seconds between tries

Answer = TypeVar("Answer")


def retried(
    call: Callable[[float], Answer],
    timeout: float,
    retries: int,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """Call until it is answered.

    Args:
        call: Takes the seconds that are left.
        timeout: Seconds for all tries together.
        retries: Tries after the first, at most.
        sleep: Waits some seconds.
        clock: Tells the time in seconds.

    Raises:
        Unavailable: Nobody answered the last try.
    """
    end = clock() + timeout
    wait = FIRST
    for _ in range(retries):
        try:
            return call(end - clock())
        except Unavailable:
            # Drawn, so that clients that failed together do not come back together.
            pause = wait * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
            if clock() + pause >= end:
                raise
            sleep(pause)
            wait = min(wait * GROWTH, LONGEST)
    return call(end - clock())

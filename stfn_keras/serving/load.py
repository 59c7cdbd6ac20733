"""Good and malformed requests, mixed, from several clients at a time.

    found = load(open_client, good, requests=1000, clients=8)
    assert found.sound, found.faults

A server is sound if every good request gets its own scores, whatever stands beside it,
and every malformed one an error that begins with the input's name.
"""

import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from stfn_keras.errors import UserError
from stfn_keras.serving.client import Client
from stfn_keras.serving.client.transport import ServerError
from stfn_keras.serving.malformed import Arrays, malformed

TOLERANCE = 1e-4  # on scores


@dataclass(frozen=True)
class Good:
    """A request and its answer.

    Attributes:
        inputs: By signature and name, a batch of one video.
        scores: By signature, float32 (1, C), of the model itself.
    """

    inputs: dict[str, Arrays]
    scores: dict[str, np.ndarray]


@dataclass
class Found:
    """What came of the requests.

    Attributes:
        answered: Good requests with their own scores.
        refused: Malformed requests refused with an error that begins with the input.
        faults: What was neither, in words.
        seconds: Of each good request.
        kinds: How many of each kind of malformed request.
    """

    answered: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    kinds: Counter = field(default_factory=Counter)

    @property
    def sound(self) -> bool:
        """Whether every request came to what it should."""
        return not self.faults

    def __str__(self) -> str:
        each = sorted(self.seconds)
        middle = statistics.median(each) if each else 0.0
        late = each[int(0.95 * len(each))] if each else 0.0
        kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(self.kinds.items()))
        return (
            f"{self.answered} good requests answered with their scores, in "
            f"{middle:.2f} s (median), {late:.2f} s (95 %); {self.refused} malformed "
            f"ones refused by the input's name ({kinds}); {len(self.faults)} faults"
        )


def load(
    open_client: Callable[[], Client],
    good: Sequence[Good],
    requests: int,
    clients: int,
    rest: bool = False,
    seed: int = 0,
    begins: bool = True,
) -> Found:
    """Send requests, half of them malformed, and look at every answer.

    Args:
        open_client: Makes a client; each thread has one of its own.
        good: Good requests whose scores differ.
        requests: How many to send.
        clients: Threads that send them.
        rest: Whether requests travel as JSON.
        seed: Of what is sent.
        begins: Whether an error must begin with the input's name; TensorFlow Serving
            writes words of its own before it.
    """
    found = Found()
    with (
        tqdm(total=requests, desc="requests", dynamic_ncols=True, disable=None) as bar,
        ThreadPoolExecutor(clients) as pool,
    ):

        def work(first: int) -> None:
            with open_client() as client:
                for number in range(first, requests, clients):
                    draws = np.random.default_rng([seed, number])
                    _send(client, good, draws, rest, found, begins)
                    bar.update()

        for done in [pool.submit(work, first) for first in range(clients)]:
            done.result()
    return found


def named(error: UserError, names: Sequence[str], begins: bool = True) -> bool:
    """Whether an error is about one of these inputs, by the name that it begins with.

    Args:
        error: As a client raised it; of a server's refusal its own words count.
        names: Of inputs.
        begins: Whether it must; otherwise the name may be anywhere.
    """
    words = error.detail if isinstance(error, ServerError) else str(error)
    if not begins:
        return any(name in words for name in names)
    return any(re.match(rf"{re.escape(name)}\b", words) for name in names)


def _send(
    client: Client,
    good: Sequence[Good],
    draws: np.random.Generator,
    rest: bool,
    found: Found,
    begins: bool,
) -> None:
    """Send one request. Threads share `found`: lists and counts grow by one call."""
    chosen = good[int(draws.integers(len(good)))]
    if draws.integers(2):
        bad = malformed(chosen.inputs, draws, rest)
        found.kinds[bad.kind] += 1
        told = f"{bad.signature}, {bad.kind}, {' or '.join(bad.named)}"
        try:
            client.call(bad.signature, bad.inputs)
        except UserError as error:
            if named(error, bad.named, begins):
                found.refused += 1
            else:
                found.faults.append(f"not named ({told}): {error}")
        else:
            found.faults.append(f"answered ({told})")
        return
    signature = str(draws.choice(list(chosen.scores)))
    began = time.perf_counter()
    try:
        scores = client.call(signature, chosen.inputs[signature])["scores"]
    except UserError as error:
        found.faults.append(f"good one refused ({signature}): {error}")
        return
    found.seconds.append(time.perf_counter() - began)
    expected = chosen.scores[signature]
    if scores.shape == expected.shape and np.abs(scores - expected).max() <= TOLERANCE:
        found.answered += 1
    else:
        found.faults.append(f"other scores ({signature}): {scores}, not {expected}")

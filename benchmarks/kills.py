"""A training that is killed again and again, against one that is left alone.

    python benchmarks/kills.py --out runs/kills --kills 10 -- \
        --data data/demo --flagfile recipes/demo.flags

What stands behind `--` are flags of `train.py`. The training runs twice with
`--deterministic`: once undisturbed, and once ended by SIGKILL at random moments of its
steps and continued by the same command until it finishes. Printed are where each kill
struck and both digests of the final weights; the exit status is 1 where they differ.
"""

import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stfn_keras import flags
from stfn_keras.config import option
from stfn_keras.errors import UserError

ROOT = Path(__file__).parents[1]
POLL = 0.05  # seconds


@dataclass(frozen=True)
class KillsConfig:
    """What to run."""

    out: str = option("", "folder for both runs; must be new")
    kills: int = option(10, "how often the second run is killed")
    seed: int = option(0, "of the moments")
    checkpoint_seconds: float = option(1.0, "least seconds between checkpoints")


def start(train: Sequence[str], out: Path, config: KillsConfig) -> subprocess.Popen:
    """Start the training, or go on with it."""
    command = [sys.executable, str(ROOT / "train.py"), *train, "--out", str(out)]
    command += ["--deterministic", f"--checkpoint_seconds={config.checkpoint_seconds}"]
    log = (out.parent / f"{out.name}.log").open("ab")
    return subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603


def checkpoints(out: Path) -> dict[Path, int]:
    """When each checkpoint was written, in ns."""
    return {path: path.stat().st_mtime_ns for path in out.glob("checkpoints/*/*.keras")}


def wait_for_steps(child: subprocess.Popen, out: Path) -> None:
    """Return when the child wrote a checkpoint, or ended."""
    before = checkpoints(out)
    while child.poll() is None and checkpoints(out) == before:
        time.sleep(POLL)


def place(out: Path) -> str:
    """The newest checkpoint, as its file says it: stage, epoch and step."""
    found = checkpoints(out)
    newest = max(found, key=lambda path: found[path])
    return f"{newest.parent.name}/{newest.stem}"


def digest(out: Path) -> str:
    """One SHA-256 of the final weights."""
    command = [sys.executable, "-m", "stfn_keras.training.digest", str(out)]
    return subprocess.run(  # noqa: S603
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def finish(child: subprocess.Popen, out: Path) -> None:
    """Wait for an end that must be a good one."""
    if child.wait():
        raise UserError(f"the training ended with {child.returncode}: see {out}.log")


def main(argv: Sequence[str]) -> None:
    """Run both and compare."""
    config, train = flags.read(KillsConfig), argv[1:]
    if not config.out or Path(config.out).exists() or not train:
        raise UserError(
            "expected --out NEW_FOLDER and flags of train.py behind `--`. Received: "
            f"{config.out!r}, {' '.join(train)!r}"
        )
    folder = Path(config.out).absolute()
    folder.mkdir(parents=True)
    whole, cut = folder / "whole", folder / "cut"
    child = start(train, whole, config)
    wait_for_steps(child, whole)
    began = time.monotonic()
    finish(child, whole)
    working = time.monotonic() - began
    print(f"undisturbed: {working:.0f} s from the first checkpoint on")
    draws = random.Random(config.seed)  # noqa: S311
    for number in range(1, config.kills + 1):
        child = start(train, cut, config)
        wait_for_steps(child, cut)
        time.sleep(draws.uniform(0, 2 * working / (config.kills + 1)))
        if child.poll() is not None:
            print(f"it was finished before kill {number}")
            break
        child.kill()
        child.wait()
        print(f"kill {number:2}: after {place(cut)}", flush=True)
    finish(start(train, cut, config), cut)
    found = {"undisturbed": digest(whole), "killed": digest(cut)}
    print(json.dumps(found, indent=1))
    if len(set(found.values())) > 1:
        raise UserError("expected equal weights. Received: other digests")


if __name__ == "__main__":
    flags.define(KillsConfig)
    flags.run(main, positional=True)

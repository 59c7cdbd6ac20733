"""One preparation by the local supervisor and by Apache Beam, in turns.

    python benchmarks/beam_run.py --videos UCF-101 --limit 40 --workers 2

Prints wall and CPU seconds and peak memory of each engine, and whether the datasets
are equal.
Memory is the sum over all processes of what each has to itself, with its share of what
they have in common (Linux's proportional set size).
"""

import argparse
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ENGINES = {
    "supervisor": [],
    "beam, threads": ["--engine=beam"],
    "beam, processes": [
        "--engine=beam",
        "--",
        "--direct_running_mode=multi_processing",
    ],
}
TICK = 0.1  # seconds between two looks at the memory


def memory(process: psutil.Process) -> tuple[float, float]:
    """MB of a process and of all its descendants."""
    used = []
    for member in [process, *process.children(recursive=True)]:
        try:
            used.append(member.memory_full_info().pss / 1e6)
        except psutil.Error:
            used.append(0.0)
    return used[0], sum(used)


def cpu() -> float:
    """CPU seconds of all processes that ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def digest(folder: Path) -> str:
    """Of all files of a dataset."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    parts = [path.name.encode() + path.read_bytes() for path in files]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def main() -> None:
    """Run each engine `--rounds` times and print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", required=True)
    parser.add_argument("--limit", default="40")
    parser.add_argument("--workers", default="2")
    parser.add_argument("--shard_videos", default="5")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    digests = set()
    print("engine            wall s   CPU s   launcher MB   all processes MB")
    for name, flags in [*ENGINES.items()] * given.rounds:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "clips")
            command = [sys.executable, "-m", "data_prep", f"--out={out}"]
            for flag in ("videos", "limit", "workers", "shard_videos"):
                command.append(f"--{flag}={getattr(given, flag)}")
            started, spent, peaks = time.monotonic(), cpu(), (0.0, 0.0)
            run = subprocess.Popen(  # noqa: S603
                [*command, *flags],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while run.poll() is None:
                now = memory(psutil.Process(run.pid))
                peaks = (max(peaks[0], now[0]), max(peaks[1], now[1]))
                time.sleep(TICK)
            if run.returncode:
                sys.exit(f"{name} ended with status {run.returncode}")
            seconds = time.monotonic() - started
            spent = cpu() - spent
            digests.add(digest(out))
        line = (
            f"{name:16} {seconds:7.1f} {spent:7.1f} {peaks[0]:13.0f} {peaks[1]:18.0f}"
        )
        print(line, flush=True)
    print("equal bytes" if len(digests) == 1 else "DIFFERENT BYTES")


if __name__ == "__main__":
    main()

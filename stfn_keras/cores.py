"""How many processes to run at once."""

import os


def cores(workers: int = 0) -> int:
    """Processes at once, where 0 are asked for: as many as there are cores.

    In a container, fewer cores may be ours than there are.
    """
    if workers:
        return workers
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""What a training step needs of memory, before the first one is made.

needed = estimate(fitted, videos=16)
print(needed)                                  # a line
print(needed.advice("rgb", free_memory()))     # what to do, or nothing

Frameworks end a process that runs out of memory with no word of where it went, often
minutes after its start.
"""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import psutil

from stfn_keras.models import activation_bytes
from stfn_keras.training.engines.engine import Fitted

IN_FLIGHT = 3  # batches: one that is computed on, two that are prepared
# What graphs, kernels and the allocator's gaps took besides, measured: docs/machines.md
PROGRAM = 300 * 2**20
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training needs on each device, by what they are for.

    Attributes:
        weights: The network's variables, once more as far as it computes in half.
        optimizer: Slots of the optimiser, and the weights' moving averages.
        gradients: Of all trained weights; twice where a batch comes in parts.
        activations: What is kept for the backward pass of one part of a batch.
        inputs: Batches in flight.
        program: Graphs and kernels.
        parts: In how many parts a batch is computed.
        videos: Of one part, on one device.
        recompute: Whether towers are computed again in the backward pass.
    """

    weights: int
    optimizer: int
    gradients: int
    activations: int
    inputs: int
    program: int
    parts: int
    videos: int
    recompute: bool

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.optimizer + self.to_come

    @property
    def to_come(self) -> int:
        """What is not there yet when network and optimiser are built."""
        return self.gradients + self.activations + self.inputs + self.program

    def __str__(self) -> str:
        return (
            f"a training step needs about {_said(self.total)} of memory: weights "
            f"{_said(self.weights)}, optimiser {_said(self.optimizer)}, gradients "
            f"{_said(self.gradients)}, activations of {self.videos} videos "
            f"{_said(self.activations)}, input {_said(self.inputs)}, the program "
            f"{_said(self.program)}"
        )

    def advice(self, stage: str, free: int | None) -> str:
        """Say what to do where a step needs more than is free; empty where it fits.

        Args:
            stage: Name of the stage, for its flags.
            free: Bytes, from `free_memory`; None where they are not known.
        """
        if free is None or self.to_come <= free:
            return ""
        ways = []
        rest = free - (self.to_come - self.activations)
        rest -= self.gradients if self.parts == 1 else 0  # parts add up in another copy
        whole = self.activations * self.parts
        fitting = -(-whole // rest) if rest > 0 else 0
        if self.parts < fitting <= self.videos * self.parts:
            ways.append(
                f"--{stage}_accumulate_steps={fitting} (the same training, each batch "
                f"in {fitting} parts)"
            )
        if not self.recompute and stage != "fusion":
            ways.append("--recompute (the same training, about a third slower)")
        ways.append(f"a smaller --{stage}_batch")
        return (
            f"the {stage} stage needs about {_said(self.to_come)} more memory and "
            f"{_said(free)} are free; try {', or '.join(ways)}"
        )


def estimate(fitted: Fitted, videos: int, replicas: int = 1) -> MemoryEstimate:
    """Estimate what training needs on each device.

    Args:
        fitted: The model, its optimiser (built) and the parts of a batch.
        videos: Videos per batch, on all devices together.
        replicas: Devices.
    """
    model, parts = fitted.model, fitted.accumulate_steps
    here = -(-videos // replicas)
    part = -(-here // parts)
    trained = sum(_bytes(v) for v in model.trainable_variables)
    pixels = sum(
        int(np.prod(x.shape[1:])) * (1 if x.dtype == "uint8" else 4)
        for x in model.inputs
    )
    return MemoryEstimate(
        weights=sum(_bytes(v) for v in model.variables) + _cast_bytes(model),
        optimizer=sum(_bytes(v) for v in fitted.optimizer.variables),
        gradients=trained * (2 if parts > 1 else 1),
        activations=part * activation_bytes(model),
        inputs=IN_FLIGHT * here * pixels,
        program=PROGRAM,
        parts=parts,
        videos=part,
        recompute=any(getattr(layer, "recomputed", None) for layer in model.layers),
    )


def free_memory(devices: int = 1) -> int | None:
    """Bytes that training may still take on a device; None where nobody says.

    Without an accelerator it is the machine's memory or what is left of the process
    group's limit (a container's), whichever is less. Of accelerators JAX tells, and
    TensorFlow does not.

    Args:
        devices: Logical devices that share the machine's memory.
    """
    if keras.backend.backend() == "jax":
        import jax

        stats = jax.local_devices()[0].memory_stats()
        if stats and "bytes_limit" in stats:
            return int(stats["bytes_limit"] - stats["bytes_in_use"])
        if jax.default_backend() != "cpu":
            return None
    else:
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            return None
    free = int(psutil.virtual_memory().available)
    group = _group_memory(CGROUP)
    return (free if group is None else min(free, group)) // devices


def _group_memory(folder: Path) -> int | None:
    """What a control group's limit leaves, version 2 or 1; None without a limit."""
    for limit, used, cache, root in (
        ("memory.max", "memory.current", "inactive_file", folder),
        (
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
            folder / "memory",
        ),
    ):
        try:
            most, now = (root / limit).read_text().strip(), (root / used).read_text()
            lines = (root / "memory.stat").read_text().splitlines()
        except OSError:
            continue
        if most == "max":
            return None
        freed = dict(line.split() for line in lines).get(cache, "0")
        return max(0, int(most) - int(now) + int(freed))
    return None


def _cast_bytes(model: keras.Model) -> int:
    """Copies of the weights in half precision, for the length of a step."""
    return sum(
        _bytes(weight) // 2
        for layer in model._flatten_layers(include_self=False)
        if not layer._layers and layer.compute_dtype in ("float16", "bfloat16")
        for weight in layer.weights
    )


def _bytes(variable: keras.Variable) -> int:
    itemsize = 8 if "64" in variable.dtype else 4
    return itemsize * int(np.prod(variable.shape))


def _said(size: int) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"

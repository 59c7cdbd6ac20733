"""How a run is computed, not what: another machine may differ and continue it."""

from dataclasses import dataclass

from stfn_keras.config.options import check_at_least, check_choices, option

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "data_parallel")


@dataclass(frozen=True)
class MachineConfig:
    """Devices, exactness and checkpoints of a training; no part of its settings."""

    strategy: str = option(
        "auto",
        "devices: one; mirrored (several of one machine) or multi_worker (TF_CONFIG) "
        "under TensorFlow; data_parallel under JAX; auto takes all of this machine",
        STRATEGIES,
    )
    cpu_devices: int = option(
        1, "logical devices the CPU is divided into, where there is no accelerator"
    )
    deterministic: bool = option(
        False, "the same bits in every run and after every kill, on CPU; slower"
    )
    recompute: bool = option(
        False, "compute the towers' blocks again in the backward pass, to save memory"
    )
    checkpoint_seconds: float = option(
        60.0,
        "least seconds between two checkpoints, which also take a twentieth of the "
        "time at most; 0: after every step",
    )
    keep_checkpoints: int = option(
        2, "newest checkpoints of a stage that are kept, besides the best"
    )

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 1, "cpu_devices", "keep_checkpoints")
        check_at_least(self, 0, "checkpoint_seconds")


DEFAULT_MACHINE = MachineConfig()

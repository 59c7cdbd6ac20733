"""A TensorRT engine from an exported model's ONNX file.

    trt = find_tensorrt()
    build(trt, Path("stfn.onnx"), Path("stfn.engine"), Batches(1, 4, 8))
    print(trtexec(Path("stfn.onnx"), Path("stfn.engine"), inputs, Batches(1, 4, 8)))

The network is built as its file types it (`strongly typed`), the only way that
TensorRT-RTX and TensorRT from release 11 on know; `half` and `quantised` write such
files. An engine is for one kind of card and one release of TensorRT.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stfn_keras.errors import UserError
from stfn_keras.files import written_aside
from stfn_keras.serving.runtimes.base import Inputs

PRECISIONS = ("fp32", "fp16", "bf16", "int8")


@dataclass(frozen=True)
class Batches:
    """The batch sizes that an engine takes, and the one it is tuned for."""

    least: int
    best: int
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.best <= self.most:
            raise UserError(
                "--opt_batch must be between 1 and --max_batch. Received: "
                f"{self.best} and {self.most}"
            )


def onnx_inputs(path: Path) -> Inputs:
    """The shape of one video's view by stream, from an ONNX file, in order of name.

    The file's own order is the converter's, which varies from one run to the next.
    """
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    shapes = {
        tensor.name: tuple(
            side.dim_value for side in tensor.type.tensor_type.shape.dim[1:]
        )
        for tensor in graph.input
    }
    return dict(sorted(shapes.items()))


def build(
    trt: Any,
    source: Path,
    path: Path,
    batches: Batches,
    target: str = "",
) -> None:
    """Build an engine and write it.

    Args:
        trt: TensorRT's module.
        source: The ONNX file.
        path: Of the engine.
        batches: Which batches it shall take.
        target: For TensorRT-RTX, the generation of card to build for, such as `SM89`,
            which then need not be in this machine; empty for the present one.

    Raises:
        UserError: TensorRT refuses the file, naming the operator; or it finds no card.
    """
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    flags = trt.NetworkDefinitionCreationFlag
    network = builder.create_network(1 << int(flags.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(source)):
        said = [parser.get_error(number) for number in range(parser.num_errors)]
        raise UserError(
            "TensorRT must know every operator. Received: "
            + "; ".join(
                f"{e.node_operator()} ({e.node_name()}): {e.desc()}" for e in said
            )
        )
    config = builder.create_builder_config()
    # TF32 rounds to 10 bits, which float32's tolerance does not allow.
    config.clear_flag(trt.BuilderFlag.TF32)
    if target:
        _aim(trt, config, target)
    profile = builder.create_optimization_profile()
    for number in range(network.num_inputs):
        tensor = network.get_input(number)
        view = tuple(tensor.shape)[1:]
        sizes = (batches.least, batches.best, batches.most)
        profile.set_shape(tensor.name, *((size, *view) for size in sizes))
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise UserError(
            "TensorRT must be able to build the engine; what it says stands above. "
            "It builds on the card that is to run the engine"
            + (
                ", or give --target"
                if hasattr(config, "num_compute_capabilities")
                else ""
            )
        )
    with written_aside(path) as aside:
        aside.write_bytes(engine)


def _aim(trt: Any, config: Any, target: str) -> None:
    known = getattr(trt, "ComputeCapability", None)
    names = [name for name in dir(known) if name.startswith("SM")]
    if target not in names:
        raise UserError(
            "--target, which TensorRT-RTX alone has, must be one of "
            f"{', '.join(names) or 'none'}. Received: {target!r}"
        )
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(known, target), 0)


def trtexec(source: Path, path: Path, inputs: Inputs, batches: Batches) -> str:
    """The command of TensorRT's own tool that builds the same engine.

    TensorRT-RTX calls that tool `tensorrt_rtx`; it takes the same flags, but for
    `--stronglyTyped`, which it always is.
    """

    def shapes(batch: int) -> str:
        return ",".join(
            f"{name}:{'x'.join(map(str, (batch, *view)))}"
            for name, view in inputs.items()
        )

    return shlex.join(
        [
            "trtexec",
            f"--onnx={source}",
            f"--saveEngine={path}",
            f"--minShapes={shapes(batches.least)}",
            f"--optShapes={shapes(batches.best)}",
            f"--maxShapes={shapes(batches.most)}",
            "--stronglyTyped",
            "--noTF32",
        ]
    )

"""Build a TensorRT engine: `python -m stfn_keras.exporting.tensorrt --model MODEL ...`.

    python -m stfn_keras.exporting.tensorrt --model models/stfn --out stfn.engine

MODEL is a folder made by `export.py --formats=onnx`. Build on the machine that is to
run the engine. `--dry_run` needs no TensorRT: it writes the ONNX file and prints the
line for TensorRT's own tool.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.errors import UserError
from stfn_keras.quiet import import_keras_quietly

if TYPE_CHECKING:
    from stfn_keras.serving.runtimes.base import Inputs


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string("model", None, "folder made by export.py", required=True)
    absl_flags.DEFINE_string("out", None, "NAME.engine, to write", required=True)
    absl_flags.DEFINE_integer(
        "max_batch", 8, "videos that the engine takes at once, at most", lower_bound=1
    )
    absl_flags.DEFINE_integer(
        "opt_batch", 0, "videos at once that it is tuned for; 0: as --max_batch",
        lower_bound=0,
    )  # fmt: skip
    absl_flags.DEFINE_enum(
        "precision", "fp16", ["fp32", "fp16", "bf16", "int8"], "what it computes in"
    )
    absl_flags.DEFINE_string(
        "target", "",
        "generation of card to build for, such as SM89, which need not be in this "
        "machine (TensorRT-RTX); empty: the present one",
    )  # fmt: skip
    absl_flags.DEFINE_bool(
        "dry_run", False, "build nothing: write the ONNX file and print the command"
    )
    absl_flags.DEFINE_string("run", "", "the model's run, which int8 calibrates on")
    absl_flags.DEFINE_string("data", "", "where the run's data lie now, if moved")
    absl_flags.DEFINE_integer(
        "calibration_videos", 64, "training videos for int8", lower_bound=1
    )


def main(_: Sequence[str]) -> None:
    """Write the ONNX file in the asked-for type, then build the engine."""
    from stfn_keras.exporting.formats import outputs, tensorrt
    from stfn_keras.serving.folder import check_digests, newest_version, read_config
    from stfn_keras.serving.formats import FORMATS, require
    from stfn_keras.serving.runtimes.tensorrt import find_tensorrt

    values = absl_flags.FLAGS
    version = newest_version(Path(values.model))
    config = read_config(version)
    source, out = FORMATS["onnx"].path(version), Path(values.out)
    if not source.is_file():
        raise UserError(
            f"--model must hold an ONNX file: export.py --formats=onnx. Received: "
            f"{version}"
        )
    check_digests(version, config, "onnx")
    require("onnx", ("onnx", "onnxruntime"))
    prepared = out.with_suffix(f".{values.precision}.onnx")
    outputs.check(out, prepared)
    best = values.opt_batch or values.max_batch
    batches = tensorrt.Batches(1, best, values.max_batch)
    try:
        trt = None if values.dry_run else find_tensorrt()
    except UserError as error:
        raise UserError(
            f"{error}; or add --dry_run to prepare a build elsewhere"
        ) from error
    inputs = tensorrt.onnx_inputs(source)
    typed = _typed(source, prepared, values.precision, inputs)
    print(tensorrt.trtexec(typed, out, inputs, batches))
    if trt is None:
        return
    tensorrt.build(trt, typed, out, batches, values.target)
    print(
        f"built: {out} ({out.stat().st_size / 1e6:.1f} MB), {values.precision}, by "
        f"{trt.__name__} {trt.__version__}, for batches of 1 to {values.max_batch}"
    )


def _typed(source: Path, path: Path, precision: str, inputs: "Inputs") -> Path:
    """The ONNX file in a precision: the model's own, or one beside the engine."""
    if precision == "fp32":
        return source
    import onnx

    from stfn_keras.exporting.formats.outputs import marked
    from stfn_keras.files import written_aside

    with written_aside(path) as aside:
        if precision == "int8":
            from stfn_keras.exporting.formats.quantised import quantise

            quantise(source, aside, _calibration(inputs))
            model = onnx.load(aside)
        else:
            from stfn_keras.exporting.formats.half import lowered

            model = lowered(onnx.load(source), precision)
        onnx.save(marked(model), aside)
    return path


def _calibration(inputs: "Inputs") -> Iterator[dict]:
    """Training snippets of the run that --run names."""
    import_keras_quietly()
    from stfn_keras.exporting.calibration import calibration_views
    from stfn_keras.training.run import Run

    values = absl_flags.FLAGS
    if not values.run:
        raise UserError(
            "--precision=int8 needs --run: the model's run, whose training videos tell "
            "the ranges of values. Received none"
        )
    run = Run.open(Path(values.run))
    folder, manifest = run.manifest(Path(values.data) if values.data else None)
    sizes = {stream: shape[1] for stream, shape in inputs.items()}
    return calibration_views(run, folder, manifest, sizes, values.calibration_videos)


def run() -> None:
    """Entry point of the command."""
    define_flags()
    flags.run(main)

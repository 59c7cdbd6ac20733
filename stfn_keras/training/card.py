"""The model card of a published run: data, recipe, results, limits, terms.

    text = model_card(run, metrics, license="CC BY 4.0")

It states what the run recorded and says where that is nothing; no figure is made up.
"""

from typing import Any

import stfn_keras
from stfn_keras import flags
from stfn_keras.config import ModelConfig, StageConfig, TrainingConfig
from stfn_keras.training.run import Run

SHOWN_CLASSES = 120  # more of them would hide the rest of the page
TEXT = """\
# {name}

A {network} network for action recognition, `{tower}` towers, {classes} classes,
published with stfn_keras {version}. Weights: `model.weights.h5`. Settings:
`config.json`.

    python evaluate.py --run ARCHIVE --data DATA
    python export.py --run ARCHIVE --out models/NAME
    python train.py --init_from ARCHIVE --reset_head --data MINE --out RUN ...

## Data

{data}

Classes, in the order of the scores: {labels}.

## Recipe

The flags of `train.py` that differ from this version's defaults; `config.json` has all.

{recipe}

## Results

{results}

## Limits

{limits}

## Terms

{terms}
"""


def model_card(run: Run, name: str, metrics: dict | None, license: str = "") -> str:
    """The text of a run's card, Markdown.

    Args:
        run: The run, without paths of the machine that it was trained on.
        name: What its data are called; empty where that is unknown.
        metrics: The content of its `report/metrics.json`, None without one.
        license: Terms of the weights, as their publisher states them.
    """
    labels = ", ".join(run.labels[:SHOWN_CLASSES])
    if left := len(run.labels) - SHOWN_CLASSES:
        labels += f", and {left} more" if left > 0 else ""
    return TEXT.format(
        name=f"{run.model.network} on {name or 'unnamed data'}",
        network=run.model.network,
        tower=run.model.tower,
        classes=len(run.labels),
        version=stfn_keras.__version__,
        data=_bullets(_data(run, name)),
        labels=labels,
        recipe="\n".join(f"    {line}" for line in recipe(run)),
        results=_results(metrics),
        limits=_bullets(_limits(run, metrics)),
        terms=_terms(run, license),
    )


def recipe(run: Run) -> list[str]:
    """The flags of `train.py` that make a run's settings."""
    training, defaults = run.training, TrainingConfig()
    lines = flags.lines(run.model, ModelConfig()) + flags.lines(training, defaults)
    stages: tuple[tuple[str, StageConfig, StageConfig], ...] = (
        ("rgb_", training.rgb, defaults.rgb),
        ("flow_", training.flow_stage, defaults.flow_stage),
        ("fusion_", training.fusion, defaults.fusion),
        ("end_to_end_", training.end_to_end, defaults.end_to_end),
    )
    for prefix, stage, default in stages:
        lines += flags.lines(stage, default, prefix)
    if run.init_digest:
        lines.append(f"--init_from=A_RUN_WITH_WEIGHTS_{run.init_digest[:12]}")
    return lines


def _data(run: Run, name: str) -> list[str]:
    block = run.preprocessing
    lines = [
        f"{name or 'unnamed'}, split {run.training.split}, manifest digest "
        f"`{run.data_digest}`",
        f"{block['snippets']} snippets per video, of which the network sees "
        f"{run.model.segments}; short side or size {block['size']} pixels",
    ]
    if "flow" in run.model.inputs:
        flow = block["flow"][run.flow]
        lines.append(
            f"flow `{run.flow}`: preset {flow['preset']} version {flow['version']}, "
            f"OpenCV {flow['opencv']}, bound {flow['bound']} pixels per frame, "
            f"{flow['pairs']} pairs per snippet"
        )
    lines.append(
        "a mirror image keeps its class"
        if block["flip"]
        else "a mirror image does not keep its class: never mirrored"
    )
    return lines


def _results(metrics: dict | None) -> str:
    if not metrics:
        return "Not evaluated: `evaluate.py` was not run on these weights."
    rows = [f"| {key} | {_shown(value)} |" for key, value in metrics.items()]
    return "\n".join(["| of `evaluate.py` | |", "|---|---|", *rows])


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _limits(run: Run, metrics: dict | None) -> list[str]:
    training = run.training
    lines = [
        "It scores the classes above and no others: a video of something else gets "
        "their scores too.",
        f"Trained once, with seed {training.seed}, on split {training.split}: the "
        "spread over seeds and splits is not in these figures.",
        "Not measured: other data, other cameras and lengths of clips, flow of another "
        "preset, speed, and whether it treats people alike.",
    ]
    if metrics:
        lines.insert(
            1,
            f"The results are those of the {metrics.get('videos', '?')} test videos of "
            "the data it was trained on; the fewer, the less they say.",
        )
    if not any(stage.epochs for stage in map(training.stage, training.stages)):
        lines.append("No stage was trained for a single epoch.")
    return lines


def _terms(run: Run, license: str) -> str:
    stated = license or "none stated by the publisher; ask before you use them"
    weights = run.training.rgb_weights
    start = {
        "imagenet": "The towers started from ImageNet weights of keras.applications.",
        "none": "The towers started from random weights.",
    }.get(weights, f"The towers started from the file `{weights}`.")
    if run.training.flow_weights:
        start += f" Those of flow started from `{run.training.flow_weights}`."
    if run.init_digest:
        start = f"It started from the weights of another run, `{run.init_digest}`."
    return (
        f"Weights: {stated}. {start} The terms of the training data, and of weights "
        "that training started from, apply besides. The program is under Apache-2.0."
    )


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)

"""Train and score one network on finished towers, or take its kept result.

recipe = Recipe(model, training, seed=0, views="1x1")
result = scored(recipe, Towers.open(run), OUT / "rows")
"""

import dataclasses
import hashlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from stfn_keras import models
from stfn_keras.config import ModelConfig, TrainingConfig
from stfn_keras.config.stored import from_dict
from stfn_keras.data.source import naming_damage
from stfn_keras.errors import UserError
from stfn_keras.evaluation.feature_scores import score_features
from stfn_keras.evaluation.scoring import view_config
from stfn_keras.experiments.result import Result
from stfn_keras.experiments.settings import SETTLED
from stfn_keras.experiments.towers import Towers
from stfn_keras.experiments.views import views_of
from stfn_keras.training import stages
from stfn_keras.training.checks import check_settings, towers_run
from stfn_keras.training.run import Run
from stfn_keras.training.train import run_stage
from stfn_keras.training.work import Work

OTHER_STAGES = ("rgb", "flow_stage", "end_to_end")
SHUFFLES = 5  # random orders of the segments, the same for every network


@dataclass(frozen=True)
class Recipe:
    """One network: its settings, its seed, and the views it is tested on.

    `views` is SxC of a fusion network; a network of independent snippets sees as
    many of them, S x T.
    """

    model: ModelConfig
    training: TrainingConfig
    seed: int
    views: str

    @property
    def fused(self) -> TrainingConfig:
        """What of the training concerns the fusion; defaults for all else."""
        if self.model.is_consensus:
            return TrainingConfig()
        return _unsettled(self.training)

    def settings(self, towers: Towers) -> dict[str, Any]:
        """Everything that the result depends on, as JSON."""
        found = {
            "views": self.views,
            "data": towers.manifest.digest,
            "towers": towers.digests,
            "split": towers.split,
            "seed": self.seed,
            "model": dataclasses.asdict(self.model),
            "training": dataclasses.asdict(self.fused),
        }
        return json.loads(json.dumps(found))

    def place(self, towers: Towers) -> Path:
        """Folder of the result below that of all results: differs as settings do.

        What has its default has no part in its name, so that a setting that a later
        version adds leaves the results that are there.
        """
        plain = Recipe(ModelConfig(), TrainingConfig(), 0, "1x1")
        values, defaults = _flat(self), _flat(plain)
        differ = {k: v for k, v in values.items() if v != defaults[k]}
        key, made_of = _key(differ), _key([towers.manifest.digest, towers.digests])
        return Path(
            f"{self.model.network}-{key[:12]}",
            f"split{towers.split}-seed{self.seed}-{made_of[:6]}",
        )


def _unsettled(training: TrainingConfig) -> TrainingConfig:
    """The same with the defaults for what the fusion has no part in."""
    plain = TrainingConfig()
    settled = {name: getattr(plain, name) for name in (*SETTLED, *OTHER_STAGES)}
    return dataclasses.replace(training, **settled)


def _key(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _flat(recipe: Recipe) -> dict[str, Any]:
    training = dataclasses.asdict(recipe.fused)
    stage = training.pop("fusion")
    parts = {"model": dataclasses.asdict(recipe.model), "stage": stage,
             "training": training, "views": {"": recipe.views}}  # fmt: skip
    return {f"{a}.{b}": v for a, part in parts.items() for b, v in part.items()}


def _same(stored: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether settings agree; one that an older version lacked has its default.

    What the fusion has no part in was stored as that version's defaults.
    """
    try:
        return _as_made_now(stored) == _as_made_now(wanted)
    except UserError:  # a newer version's
        return False


def _as_made_now(settings: dict[str, Any]) -> dict[str, Any]:
    made = {
        "model": from_dict(ModelConfig, settings["model"]),
        "training": _unsettled(from_dict(TrainingConfig, settings["training"])),
    }
    return settings | made


def check(recipe: Recipe, towers: Towers) -> None:
    """Refuse what cannot be trained on these towers and data.

    Raises:
        UserError: Says which setting.
    """
    if not recipe.model.is_pooled:
        raise UserError(
            "networks are compared on the cached features of finished towers, and with "
            f"{recipe.model.read_whole_for} more is read of them than those of each "
            "segment: train it with train.py --towers_from"
        )
    have = towers.run.model.streams
    if lacking := [s for s in recipe.model.streams if s not in have]:
        raise UserError(
            f"the towers of {towers.run.folder} are of the streams {', '.join(have)}. "
            f"Received: a network that has {', '.join(lacking)} too: take other "
            "streams, or towers of a run that has them"
        )
    check_settings(recipe.model, _run(recipe, towers, Path()).training, towers.manifest)
    towers_run(_run(recipe, towers, Path()))


def kept(recipe: Recipe, towers: Towers, folder: Path) -> Result | None:
    """The result that is there for these settings."""
    result = Result.load(folder / recipe.place(towers))
    if result and _same(result.settings, recipe.settings(towers)):
        return result
    return None


def scored(recipe: Recipe, towers: Towers, folder: Path) -> Result:
    """The recipe's result: what is kept below `folder`, or else trained and scored.

    A training that was cut off goes on after its last checkpoint. Checkpoints go once
    the result is kept.

    Raises:
        UserError: The settings do not fit the data, or the training diverged.
    """
    if result := kept(recipe, towers, folder):
        return result
    began = time.monotonic()
    place = folder / recipe.place(towers)
    training = place / f"training-{_key(recipe.settings(towers))[:12]}"
    keras.utils.clear_session()  # forget the network before
    if recipe.model.is_consensus:
        head = _consensus(recipe, towers)
    else:
        head = _trained(recipe, towers, training)
    samplings, crops = views_of(recipe.model, recipe.views)
    features = towers.features(crops)
    scores = score_features(head, features, samplings=samplings)
    orders = [
        score_features(head, features, samplings=samplings, shuffle=seed)
        for seed in range(0 if recipe.model.is_consensus else SHUFFLES)
    ]
    predicted = [found.logits.argmax(axis=1) for found in orders]
    result = Result(
        scores,
        np.array(predicted, np.int64).reshape(-1, len(scores.label)),
        recipe.settings(towers),
        time.monotonic() - began,
    )
    result.save(place)
    if (training / "history.csv").exists():
        (training / "history.csv").replace(place / "history.csv")
    for rest in place.glob("training-*"):
        shutil.rmtree(rest)
    return result


def _run(recipe: Recipe, towers: Towers, folder: Path) -> Run:
    """The recipe as a run on these towers; nothing is written."""
    own = towers.run
    training = dataclasses.replace(
        recipe.training, split=towers.split, flow=own.training.flow, seed=recipe.seed,
        stages=() if recipe.model.is_consensus else ("fusion",),
    )  # fmt: skip
    return dataclasses.replace(
        own, folder=folder, model=recipe.model, training=training,
        towers_from=own.folder,
    )  # fmt: skip


def _consensus(recipe: Recipe, towers: Towers) -> keras.Model:
    """The towers' own classifiers on the features of one snippet."""
    wanted = view_config(recipe.model)
    size = models.feature_size(recipe.model)
    head = models.build_head(wanted, len(towers.manifest.labels), size)
    networks = towers.networks()
    for stream in recipe.model.streams:
        models.copy_by_name(networks[stream], head)
    return head


def _trained(recipe: Recipe, towers: Towers, folder: Path) -> keras.Model:
    """The fusion network behind the towers, trained in a run of its own."""
    wanted = _run(recipe, towers, folder)
    run = Run.start(
        folder, towers.data, towers.manifest, wanted.model, wanted.training,
        wanted.towers_from,
    )  # fmt: skip
    work = Work(run, towers.data, towers.manifest, towers_run(run))
    with naming_damage(towers.data, towers.manifest):
        run_stage(work, "fusion")
    head = stages.fusion_network(run)
    stages.load_result(work, "fusion", head)
    return head

"""Start a run's stages from the weights of a finished one: `--init_from RUN|ARCHIVE`.

    initial = Initial.open(path, model, training, manifest)  # refuses what cannot fit
    initial.apply(network, "rgb", run.folder)                # every layer is logged

Layers are found by name and must have the same shapes. `--reset_head` leaves the
classifiers new, for other classes; without it they must be of the same classes, whose
order may differ.
"""

from dataclasses import dataclass
from pathlib import Path

import keras
from absl import logging

from stfn_keras import models
from stfn_keras.config import ModelConfig, TrainingConfig
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.tables import write_table
from stfn_keras.errors import UserError
from stfn_keras.models.weights import leaves
from stfn_keras.training.archive import opened
from stfn_keras.training.checkpoint import load_weights
from stfn_keras.training.finished import network_digest, weights_digest
from stfn_keras.training.run import Run

TAKEN, SORTED, NEW = "taken", "taken, classes sorted anew", "new"


@dataclass(frozen=True)
class Start:
    """How one layer starts: its path, the shapes of its arrays, and their origin."""

    layer: str
    shapes: tuple[tuple[int, ...], ...]
    origin: str


@dataclass(frozen=True)
class Initial:
    """Where a run's weights come from.

    Attributes:
        path: A run directory, or an archive of `stfn_keras.training.publish`.
        digest: SHA-256 of its weights; a run and its archive have the same.
        model: Its network.
        labels: Its classes.
        classes: The classes of the run that starts from it.
        reset_head: Whether classifiers start new.
    """

    path: Path
    digest: str
    model: ModelConfig
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    reset_head: bool

    @classmethod
    def open(
        cls,
        path: Path,
        model: ModelConfig,
        training: TrainingConfig,
        manifest: Manifest,
    ) -> "Initial":
        """Read a source's settings and refuse what could not start from it.

        Args:
            path: A finished run or an archive.
            model: The network to be trained.
            training: Its settings; `reset_head` and `flow` are read.
            manifest: Of the data it is to be trained on.

        Raises:
            UserError: The source is damaged or not finished; or its tower, streams,
                classes or layers do not fit, names which.
        """
        with opened(path) as run:
            initial = cls(
                path, weights_digest(run), run.model, run.labels, manifest.labels,
                training.reset_head,
            )  # fmt: skip
            _warn_of_other_flow(run, training, manifest)
        initial._check_labels()
        initial._check_model(model)
        return initial

    def apply(
        self, network: keras.Model, stage: str, folder: Path | None = None
    ) -> list[Start]:
        """Set the weights of a stage's network before its first epoch.

        Args:
            network: A tower's network (the stage of a stream), the head (`fusion`) or
                the whole (`end_to_end`).
            stage: The stage.
            folder: A run directory, which gets the list as `init_from/<stage>.csv`.

        Returns:
            How each layer starts, also written to the log.

        Raises:
            UserError: A layer is missing in the source or has other shapes there, or
                the source has changed since it was opened. No weight is set then.
        """
        source = self._network()
        pairs = self._pairs(source, network, stage)
        starts = []
        for path, (ours, theirs) in pairs.items():
            origin = NEW if theirs is None else TAKEN
            if theirs is not None:
                arrays = theirs.get_weights()
                if _is_classifier(path) and self.labels != self.classes:
                    order = [self.labels.index(name) for name in self.classes]
                    arrays = [array[..., order] for array in arrays]
                    origin = SORTED
                ours.set_weights(arrays)
            starts.append(Start(path, _shapes(ours), origin))
        _log(starts, stage, self.path, folder)
        return starts

    def _network(self) -> keras.Model:
        with opened(self.path) as run:
            if weights_digest(run) != self.digest:
                raise UserError(
                    f"{self.path} is not what it was when this run began: give "
                    "--init_from as it was, or choose another --out"
                )
            network = models.build(run.model, len(run.labels))
            load_weights(network, run.network_file, network_digest(run))
        return network

    def _check_labels(self) -> None:
        if self.reset_head or set(self.labels) == set(self.classes):
            return
        here, there = len(self.classes), len(self.labels)
        odd = sorted(set(self.classes) ^ set(self.labels))[0]
        raise UserError(
            f"--init_from={self.path} has {there} classes and the data have {here}, "
            f"not the same ones ({odd!r} is in one only): give --reset_head for new "
            "classifiers"
        )

    def _check_model(self, model: ModelConfig) -> None:
        # The frames of a dynamic image are pooled: any number of them fits.
        frames = ["frames"] if "difference" in model.streams else []
        pairs = ["pairs"] if "flow" in model.inputs else []
        for name in ("tower", *pairs, *frames):
            here, there = getattr(model, name), getattr(self.model, name)
            if here != there:
                raise UserError(
                    f"--init_from={self.path} was trained with --{name}={there}, and "
                    f"this run has --{name}={here}: give the same"
                )
        if missing := [s for s in model.streams if s not in self.model.streams]:
            raise UserError(
                f"--init_from={self.path} has no {missing[0]} tower (it is a "
                f"--network={self.model.network}): give a source with both, or a "
                "--network of its stream"
            )
        if "end_to_end" in self.model.stages:
            raise UserError(
                f"--init_from={self.path} is a --network={self.model.network}, whose "
                "towers are linked layer by layer: no stage can start from them. Give "
                "a run with whole towers, such as a late_fusion"
            )
        if "fusion" in model.stages:  # what a late stage would find too late
            source = _upper(self.model, len(self.labels))
            target = _upper(model, len(self.classes))
            self._pairs(source, target, "fusion")

    def _pairs(
        self, source: keras.Model, target: keras.Model, stage: str
    ) -> dict[str, tuple[keras.layers.Layer, keras.layers.Layer | None]]:
        """Each layer of the target and its counterpart, None where it starts new."""
        theirs, ours = _all_leaves(source), _all_leaves(target)
        if stage == "fusion":  # towers have their own stages
            ours = {path: x for path, x in ours.items() if "_features/" not in path}
        without_time = stage == "fusion" and self.model.is_consensus
        pairs: dict[str, tuple] = {}
        for path, layer in ours.items():
            is_new = self.reset_head and _is_classifier(path)
            # Behind feature fusion there is no classifier of each tower; one above
            # maps reads something else.
            has_it = path in theirs and self.model.has_head
            lost = _is_classifier(path) and not has_it and stage != "fusion"
            lifted = path not in theirs and isinstance(layer, models.Lift)
            if without_time or is_new or lost or lifted:
                pairs[path] = (layer, None)
                continue
            if path not in theirs:
                raise UserError(
                    f"--init_from={self.path} has no layer {path}, which the {stage} "
                    "stage trains: give the network's settings that it was made with "
                    f"(--network={self.model.network} --blocks={self.model.blocks} ...)"
                )
            expected, received = _shapes(layer), _shapes(theirs[path])
            if expected != received:
                raise UserError(
                    f"--init_from={self.path} has other shapes in layer {path}: "
                    f"expected {_text(expected)}. Received: {_text(received)}. Give "
                    "the network's settings that it was made with (--reset_head "
                    "replaces the classifiers alone)"
                )
            pairs[path] = (layer, theirs[path])
        return pairs


def _upper(model: ModelConfig, classes: int) -> keras.Model:
    """The network above the towers; all of it where it cannot be taken apart."""
    if model.has_head:
        return models.build_head(model, classes, models.feature_size(model))
    return models.build(model, classes)


def _all_leaves(model: keras.Model) -> dict[str, keras.layers.Layer]:
    found: dict[str, keras.layers.Layer] = {}
    for layer in models.weighted_layers(model):
        found |= leaves(layer, layer.name)
    return found


def _is_classifier(path: str) -> bool:
    return path.endswith("_logits") and "/" not in path


def _shapes(layer: keras.layers.Layer) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(weight.shape) for weight in layer.weights)


def _text(shapes: tuple[tuple[int, ...], ...]) -> str:
    first = ", ".join(map(str, shapes[:3]))
    return first + (f" and {len(shapes) - 3} more" if len(shapes) > 3 else "")


def _warn_of_other_flow(run: Run, training: TrainingConfig, manifest: Manifest) -> None:
    """Say where the towers will see another flow than they were trained on."""
    if "flow" not in run.model.inputs:
        return
    there = run.preprocessing["flow"][run.flow]
    here = manifest.flow[training.flow or next(iter(manifest.flow))]
    for key in ("preset", "version", "bound"):
        if there[key] != here[key]:
            logging.warning(
                "the source was trained on flow with %s %s, and these data have %s: "
                "its flow tower has to be trained, not frozen",
                key, there[key], here[key],
            )  # fmt: skip


def _log(starts: list[Start], stage: str, path: Path, folder: Path | None) -> None:
    for start in starts:
        logging.info(
            "%s: %s %s %s", stage, start.layer, _text(start.shapes), start.origin
        )
    new = [start.layer for start in starts if start.origin == NEW]
    shown = ", ".join(new[:4]) + (", ..." if len(new) > 4 else "")
    logging.warning(
        "%s: %d layers from %s; %d start new%s",
        stage, len(starts) - len(new), path, len(new), f": {shown}" if new else "",
    )  # fmt: skip
    if folder is not None:
        rows = [
            (s.layer, " ".join("x".join(map(str, n)) for n in s.shapes), s.origin)
            for s in starts
        ]
        path = folder / "init_from" / f"{stage}.csv"
        write_table(path, ("layer", "shapes", "origin"), rows)

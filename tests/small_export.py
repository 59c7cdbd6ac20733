"""An exported network of random weights: no run, no data, a few seconds.

write_export(tmp_path / "model" / "1", network="spatial")
"""

import dataclasses
from pathlib import Path

import cv2
import keras
import numpy as np

from stfn_keras.config import ModelConfig
from stfn_keras.exporting.saved_model import ServingModule
from stfn_keras.files import sha256, write_json
from stfn_keras.models.network import build
from stfn_keras.serving.folder import CONFIG, EXTRA, MARK
from stfn_keras.video.flow import get_preset
from stfn_keras.video.frames import external_field

LABELS = ("fall", "rise", "wälk")
PAIRS = 2


def write_export(folder: Path, network: str = "stfn", external: bool = False) -> Path:
    """Write a version of a model of three classes.

    Args:
        folder: New.
        network: As in `ModelConfig`.
        external: Whether its flow was extracted by another program.
    """
    config = ModelConfig(
        network=network, tower="tiny", rgb_size=16, flow_size=24, pairs=PAIRS,
        segments=3, width=4, blocks=1,
    )  # fmt: skip
    keras.utils.set_random_seed(0)
    model = build(config, len(LABELS))
    draws = np.random.default_rng(0)
    for weights in model.trainable_weights:
        # Large enough for scores that tell one video from another.
        noise = draws.normal(0, 0.2, weights.shape).astype(np.float32)
        weights.assign(weights + noise)
    module = ServingModule(model, LABELS)
    module.save(folder)
    preset = get_preset("dis")
    field = {
        "preset": "dis", "version": preset.version,
        "parameters": dict(preset.parameters), "opencv": cv2.__version__,
        "bound": 20.0, "pairs": PAIRS,
    }  # fmt: skip
    name = "external" if external else "dis"
    files = [f for f in sorted(folder.rglob("*")) if f.is_file()]
    write_json(
        folder / EXTRA / CONFIG,
        {
            "kind": MARK, "version": "0", "labels": list(LABELS),
            "model": dataclasses.asdict(config), "flow": name,
            "formats": ["saved_model"],
            "inputs": {s: list(shape) for s, shape in module.inputs.items()},
            "preprocessing": {
                "flow": {name: external_field(20.0, PAIRS) if external else field},
                "layout": "snippet", "snippets": 7, "rgb_per_snippet": 1,
                "size": "32", "flip": True,
            },
            "sha256": {str(f.relative_to(folder)): sha256(f) for f in files},
        },
    )  # fmt: skip
    return folder

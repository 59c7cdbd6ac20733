"""The command from a dataset to a table, towers included."""

import json

import pytest
from forked import run

FLAGS = """
--tower=tiny
--rgb_weights=none
--rgb_size=16
--flow_size=16
--pairs=2
--segments=3
--width=4
--rgb_epochs=1
--rgb_batch=4
--flow_epochs=1
--flow_batch=4
--fusion_epochs=9
--fusion_dropout=0.1
--stages=rgb,flow,fusion,end_to_end
--fusion_batch=4
"""
GRID = """
reference: late fusion
base: {network: stfn, blocks: 0, fusion_epochs: 1, fusion_rate: 1e-2}
rows:
  - {name: late fusion, set: {network: late_fusion}}
  - {name: no block}
"""


@pytest.mark.slow
def test_an_ablation_without_towers_trains_them_first(dataset, tmp_path):
    (tmp_path / "recipe.flags").write_text(FLAGS)
    (tmp_path / "grid.yaml").write_text(GRID)
    out = tmp_path / "out"
    command = [
        "-m", "stfn_keras.experiments.ablate", f"--data={dataset}",
        f"--flagfile={tmp_path / 'recipe.flags'}", f"--grid={tmp_path / 'grid.yaml'}",
        "--seeds=1", f"--out={out}",
    ]  # fmt: skip
    found = run(*command)
    assert found.returncode == 0, found.stderr
    assert "| p | against |" in found.stdout
    assert (out / "towers-split1" / "checkpoints" / "flow" / "state.json").exists()
    (result,) = out.glob("rows/stfn-*/split1-seed0-*/result.json")
    fusion = json.loads(result.read_text())["settings"]["training"]["fusion"]
    assert fusion["epochs"] == 1  # the grid's base goes before the recipe,
    assert fusion["dropout"] == 0.1  # and that before what no flag said
    again = run(*command, f"--towers_from={out / 'towers-split1'}")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("(kept)") == 2

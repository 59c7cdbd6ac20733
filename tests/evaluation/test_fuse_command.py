"""`python evaluate.py fuse`: one flat JSON object, one line of error, no TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation.made_up_scores import made_up, reordered, write_csv

from stfn_keras.evaluation.fusion import fuse
from stfn_keras.evaluation.metrics import accuracies
from stfn_keras.evaluation.scores import Scores

ROOT = Path(__file__).parents[2]


def command(*arguments):
    return subprocess.run(
        [sys.executable, "evaluate.py", "fuse", *map(str, arguments)], cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def files(tmp_path):
    made_up(seed=1).save(tmp_path / "a.npz")
    write_csv(reordered(made_up(seed=2)), tmp_path / "b.csv")
    return tmp_path / "a.npz", tmp_path / "b.csv"


def test_json_is_one_flat_object_of_shares(files, tmp_path):
    out = tmp_path / "fused.npz"
    done = command(*files, "--weights", "1,1.5", "--on", "softmax", "--json",
                   "--out", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    fused = fuse([made_up(seed=1), made_up(seed=2)], (1, 1.5), "softmax")
    found = json.loads(done.stdout)
    assert found == pytest.approx(accuracies(fused.label, fused.logits))
    np.testing.assert_allclose(Scores.load(out).logits, fused.logits, rtol=1e-5)


def test_text_names_what_it_counts(files):
    done = command(*files)
    assert done.returncode == 0, done.stderr
    for name in ("video_top1", "video_top5", "mean_class_accuracy"):
        assert f"\n{name} " in done.stdout
    assert f" 0.500 {files[1]}\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name what is fused"),
        (["A", "B", "--weights=1,2,3"], "--weights must be 2 numbers"),
        (["A", "B", "--search"], "is a file, so give --validation"),
        (["A", "B", "--search", "--svm"], "expected --search or --svm"),
        (["A", "B", "--search", "--validation=A"], "once for each of the 2 entries"),
        (["A", "B", "--out=A"], "--out must be a new .npz file"),
    ],
)
def test_a_user_error_is_one_line(files, arguments, message):
    for letter, path in zip("AB", files, strict=True):
        arguments = [
            str(path) if a == letter else a.replace(f"={letter}", f"={path}")
            for a in arguments
        ]
    done = command(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_fusion_needs_no_tensorflow(files):
    code = (
        "import sys; sys.argv = ['evaluate.py', 'fuse', *sys.argv[1:]]\n"
        "from stfn_keras.commands.evaluate import run\n"
        "try: run()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({'tensorflow', 'keras', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files), "--json"], cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.endswith("[]\n"), done.stdout + done.stderr

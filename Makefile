# `make demo` and `make test` on a machine with Python 3.11 to 3.13 and make.

PYTHON ?= python3
BIN := .venv/bin
DEMO := recipes/demo.flags
# Processes that share the tests; each takes up to 2 GB.
WORKERS := 2

.PHONY: demo test lint test-io clean

demo: .venv/installed
	$(BIN)/python -m data_prep demo-clips --out data/demo-clips
	$(BIN)/python -m data_prep --videos data/demo-clips/videos --protocol ucf101 \
	    --split_lists data/demo-clips/splits --out data/demo --flow dis
	$(BIN)/python train.py --data data/demo --out runs/demo --flagfile $(DEMO)
	$(BIN)/python evaluate.py --run runs/demo > runs/demo/evaluation.txt
	$(BIN)/python export.py --run runs/demo --out models/demo
	$(BIN)/python predict.py --model models/demo --out runs/demo/prediction \
	    data/demo-clips/videos/RiseThenFall/v_RiseThenFall_g01_c01.avi
	@echo
	@echo "The demo is done. On its test clips, which the network has not seen:"
	@cat runs/demo/evaluation.txt
	@echo "model:   models/demo (a SavedModel for TF Serving)"
	@echo "picture: runs/demo/prediction/v_RiseThenFall_g01_c01.png"
	@echo "The same on your own videos, a folder per class:"
	@echo "  $(BIN)/python -m data_prep --videos VIDEOS --protocol folder --out data/mine"
	@echo "  $(BIN)/python train.py --data data/mine --flagfile recipes/ucf101-lite0.flags \\"
	@echo "      --rgb_weights EFFICIENTNET_LITE0.weights.h5 --out runs/mine"
	@echo "  $(BIN)/python evaluate.py --run runs/mine"
	@echo "  $(BIN)/python export.py --run runs/mine --out models/mine"
	@echo "  $(BIN)/python predict.py --model models/mine CLIP.mp4"

test: .venv/tested lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

lint: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# tensorflow-io has an environment of its own, since it needs an older TensorFlow.
test-io: .venv-io/tested
	.venv-io/bin/python -m pytest tests/data/test_remote.py tests/data/test_storage.py \
	    tests/data/test_cache.py tests/data/test_direct.py tests/data/test_mirrors.py

clean:
	rm -rf .venv .venv-io build *.egg-info

.venv/installed: pyproject.toml setup.py
	$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else 'expected Python 3.11 to 3.13, received %d.%d: set PYTHON=' % v)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --progress-bar on -e .
	@touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install -e '.[dev]'
	@touch $@

.venv-io/tested: pyproject.toml setup.py
	$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 13) else 'expected Python 3.11 or 3.12, received %d.%d: set PYTHON=' % v)"
	$(PYTHON) -m venv .venv-io
	.venv-io/bin/python -m pip install --progress-bar on -e '.[io,remote]' 'pytest>=8' 'moto[server]>=5'
	@touch $@

# Preparation, training, evaluation and export in one image.
#
#   docker build -f docker/train.Dockerfile -t stfn-train .
#   docker build -f docker/train.Dockerfile -t stfn-train-jax --build-arg EXTRAS=jax-gpu,remote .
#   docker run --gpus all -v "$PWD/data:/data" -v "$PWD/runs:/runs" stfn-train \
#       train.py --data /data/ucf101 --out /runs/x --flagfile recipes/ucf101-resnet101.flags
#
# Built and run nowhere yet: docs/install.md says what was checked.
FROM python:3.11-slim-bookworm

# `gpu`, `jax-gpu`, `remote`, ..., or empty for the CPU: the extras of pyproject.toml.
ARG EXTRAS=gpu
# The folders that are mounted belong to this user on the host.
ARG UID=1000

# What NVIDIA's container runtime gives the container: the driver and nvidia-smi.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONUNBUFFERED=1

RUN useradd --create-home --uid "${UID}" stfn
WORKDIR /stfn

# The wheels first: they change less often than the code, and are kept in this layer.
COPY pyproject.toml setup.py README.md LICENSE ./
COPY stfn_keras/__init__.py stfn_keras/__init__.py
RUN pip install --no-cache-dir --editable ".[${EXTRAS}]"

COPY stfn_keras stfn_keras
COPY data_prep data_prep
COPY recipes recipes
COPY train.py evaluate.py export.py predict.py ./
# Once more, for the packages that have come since.
RUN pip install --no-cache-dir --no-deps --editable .

USER ${UID}
# No shell between: SIGTERM of `docker stop` reaches Python, which keeps the last step.
ENTRYPOINT ["python"]
CMD ["train.py", "--help"]

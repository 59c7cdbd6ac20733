# TensorFlow Serving with an exported network inside; the context is the export's folder.
#
#   python export.py --run runs/x --out models/stfn
#   docker build -f docker/serve.Dockerfile -t stfn-serve models/stfn
#   docker run -p 8500:8500 -p 8501:8501 stfn-serve
#   curl http://localhost:8501/v1/models/stfn
#
# Built and run nowhere yet: docs/install.md says what was checked, docs/serving.md what
# else a server may be told.

# Not older than the TensorFlow that exported; with `-gpu` behind it for NVIDIA cards.
ARG SERVING=2.21.0
FROM tensorflow/serving:${SERVING}

# Versions in folders 1, 2, ..., of which the newest is served.
COPY . /models/stfn
ENV MODEL_NAME=stfn

# gRPC, REST
EXPOSE 8500 8501
# It reads the model and opens two ports above 1024: no rights are needed.
USER 1000:1000

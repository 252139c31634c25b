# One image for the head and every worker, on Docker and on KubeRay. Models of your own are mounted, not built in.
# For a GPU take a CUDA development image with Python 3.11 as BASE and build with LLAMA_CMAKE="GGML_CUDA=on".
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
ARG LLAMA_CMAKE=""
RUN apt-get update \
 && apt-get install --yes --no-install-recommends build-essential cmake python3-venv python3-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/parley
# The environment changes rarely and the code often: two layers.
COPY Makefile requirements.lock pyproject.toml ./
COPY scripts/preflight.sh scripts/
RUN make setup LLAMA_CMAKE="${LLAMA_CMAKE}" UV_LINK_MODE=copy && rm -rf /root/.cache
COPY . .
ENV PATH=/opt/parley/.venv/bin:$PATH PYTHONPATH=/opt/parley RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled \
    RAY_SERVE_USE_GRPC_BY_DEFAULT=1 RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH=-1 \
    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=graphs.http.proxy.middlewares
EXPOSE 8000 8265
# A container that listens on its own loopback serves nobody; what may reach it is for `docker run -p` to say.
CMD ["python", "scripts/serve.py", "serve_config.yaml", "--host", "0.0.0.0"]

# One image for the head and all workers, for Docker and KubeRay. It contains the bundled models; mount other ones.
# For a GPU use a CUDA development image with Python 3.11 as BASE and LLAMA_CMAKE="GGML_CUDA=on".
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
ARG LLAMA_CMAKE=""
RUN apt-get update \
 && apt-get install --yes --no-install-recommends build-essential cmake python3-venv python3-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/parley
# Two layers: the environment changes less often than the code.
COPY Makefile requirements.lock pyproject.toml ./
COPY scripts/preflight.sh scripts/
RUN make setup LLAMA_CMAKE="${LLAMA_CMAKE}" UV_LINK_MODE=copy && rm -rf /root/.cache
COPY . .
ENV PATH=/opt/parley/.venv/bin:$PATH PYTHONPATH=/opt/parley RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled \
    RAY_SERVE_USE_GRPC_BY_DEFAULT=1 RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH=-1 \
    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=graphs.http.proxy.middlewares
EXPOSE 8000 8265
# Listens on all interfaces of the container; `docker run -p` decides who can reach it.
CMD ["python", "scripts/serve.py", "serve_config.yaml", "--host", "0.0.0.0"]

# One image for the head and all workers, for Docker and KubeRay. It contains the bundled models; the models of the
# catalogue are pulled into ~/.cache/parley/models (PARLEY_MODELS) when it starts: mount a volume there.
#
#   docker build --tag parley .
#   docker run --shm-size=4g -p 127.0.0.1:8000:8000 -e PARLEY_API_KEYS=... parley
#
# BASE is the image of both stages. A tag can change; for builds that can be repeated give the digest of one:
#   docker build --build-arg BASE=python:3.11-slim-bookworm@sha256:... .
# For a GPU, BUILD_BASE is a CUDA development image and BASE the runtime image of the same version, both with the same
# Python 3.11, and LLAMA_CMAKE="GGML_CUDA=on".
ARG BASE=python:3.11.13-slim-bookworm
ARG BUILD_BASE=${BASE}

FROM ${BUILD_BASE} AS build
ARG LLAMA_CMAKE=""
RUN apt-get update \
 && apt-get install --yes --no-install-recommends build-essential cmake python3-venv python3-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/parley
COPY Makefile requirements.lock pyproject.toml ./
COPY scripts/preflight.sh scripts/
RUN make setup LLAMA_CMAKE="${LLAMA_CMAKE}" UV_LINK_MODE=copy

FROM ${BASE}
# OpenMP, which llama.cpp and CTranslate2 use; in the first stage it is a part of the compiler.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home parley
WORKDIR /opt/parley
# Two layers: the environment changes less often than the code.
COPY --from=build /opt/parley/.venv .venv
COPY . .
RUN install --directory --owner=parley --mode=0700 .run
ENV PATH=/opt/parley/.venv/bin:$PATH PYTHONPATH=/opt/parley RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token \
    RAY_SERVE_USE_GRPC_BY_DEFAULT=1 RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH=-1 \
    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=graphs.http.proxy.middlewares \
    RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS=1 RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S=1
USER parley
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=20s --start-period=10m --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=15)"]
# Listens on all interfaces of the container; `docker run -p` decides who can reach it. Ray listens on the loopback.
CMD ["python", "scripts/serve.py", "serve_config.yaml", "--host", "0.0.0.0"]

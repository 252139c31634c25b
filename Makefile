# Most users need `make serve` and `make test` only. `make help` lists all targets.

PYTHON ?= python3
CONFIG ?= serve_config.yaml
BIN    := .venv/bin

# No telemetry, a token for the ports of Ray, and workers that find the checkout.
export RAY_USAGE_STATS_ENABLED  := 0
export RAY_AUTH_MODE            ?= token
export PYTHONPATH               := $(CURDIR)
export HF_HUB_DISABLE_TELEMETRY := 1

# GCC 12 miscompiles llama.cpp's AMX kernels: quantized models crash at ldtilecfg. Its AVX512-FP16 kernels process 128
# numbers at a time and the remainder one by one, which is slow for small models, whose heads have 64.
# uv includes these settings in the key of its cache, so it never uses a wheel that was built without them.
ifeq ($(shell uname -m),x86_64)
LLAMA_FLAGS := -mno-amx-tile -mno-amx-int8 -mno-amx-bf16 -U__AVX512FP16__
LLAMA_BUILD := --config-settings-package "llama-cpp-python:cmake.define.CMAKE_C_FLAGS=$(LLAMA_FLAGS)" \
               --config-settings-package "llama-cpp-python:cmake.define.CMAKE_CXX_FLAGS=$(LLAMA_FLAGS)"
endif
# LLAMA_CMAKE has further definitions, such as LLAMA_CMAKE="GGML_CUDA=on". They are kept for later builds.
LLAMA_CMAKE ?= $(shell cat .venv/.llama-cmake 2>/dev/null)
LLAMA_BUILD += $(foreach d,$(LLAMA_CMAKE),--config-settings-package "llama-cpp-python:cmake.define.$(d)")
# A marker per combination of settings: uv itself does not reinstall a package whose settings have changed.
LLAMA_BUILT := .venv/.llama-built-$(firstword $(shell echo '$(LLAMA_BUILD)' | cksum))

.PHONY: FORCE help setup serve stop test check lock docs bench clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

# --compile-bytecode: a start of the service is a dozen Python processes, which would all parse the libraries.
setup: .venv/.ready  ## install the locked dependencies and build llama-cpp-python

.venv/.ready: requirements.lock Makefile $(if $(wildcard $(LLAMA_BUILT)),,FORCE)
	@PYTHON=$(PYTHON) sh scripts/preflight.sh
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -o '^uv==[0-9.]*' requirements.lock)"
	@$(if $(wildcard $(LLAMA_BUILT)),,rm -f .venv/.llama-built-* && \
	  $(BIN)/uv pip uninstall --quiet --python $(BIN)/python llama-cpp-python)
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock $(LLAMA_BUILD)
	@echo '$(LLAMA_CMAKE)' > .venv/.llama-cmake
	@touch $(LLAMA_BUILT) $@

serve: setup  ## serve the graph; CONFIG=configs/x.yaml, HOST=, PORT=, OPEN=yes
	@$(BIN)/python scripts/serve.py $(CONFIG) $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT)) $(if $(OPEN),--open)

stop:  ## stop what `make serve` started
	@$(BIN)/python scripts/serve.py --stop

test: setup  ## all tests, also with the real engines and the bundled models; ARGS= are pytest's
	$(BIN)/python -m pytest $(ARGS)

check: setup  ## formatting, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py

docs: setup  ## generate docs/configuration.md and docs/models.md
	$(BIN)/python scripts/write_configuration.py
	$(BIN)/python scripts/write_models.py

bench: setup  ## the latency of every kind of request to a running service
	$(BIN)/python -m bench.latency

lock:  ## resolve pyproject.toml into requirements.lock (names, versions, hashes; no addresses)
	$(BIN)/uv pip compile pyproject.toml --group dev --python-version 3.11 --no-emit-index-url \
	  --generate-hashes --custom-compile-command "make lock" -o requirements.lock

clean:  ## remove the virtual environment and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis

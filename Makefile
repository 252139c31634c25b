# Parley: `make serve` and `make test` are all that most people need. `make help` lists the rest.

PYTHON ?= python3
CONFIG ?= serve_config.yaml
BIN    := .venv/bin

# No telemetry, no surprise authentication, and workers that find the checkout.
export RAY_USAGE_STATS_ENABLED  := 0
export RAY_AUTH_MODE            ?= disabled
export PYTHONPATH               := $(CURDIR)
export HF_HUB_DISABLE_TELEMETRY := 1

# GCC 12 miscompiles llama.cpp's AMX kernels (quantised models crash at ldtilecfg), so they are left out. So are its
# kernels for half-precision instructions, which take 128 numbers at a time and what is left over, as all of a small
# model's heads is, one by one.
# uv keys its cache of built wheels by these settings: a wheel built without them is never taken for this one.
ifeq ($(shell uname -m),x86_64)
LLAMA_FLAGS := -mno-amx-tile -mno-amx-int8 -mno-amx-bf16 -U__AVX512FP16__
LLAMA_BUILD := --config-settings-package "llama-cpp-python:cmake.define.CMAKE_C_FLAGS=$(LLAMA_FLAGS)" \
               --config-settings-package "llama-cpp-python:cmake.define.CMAKE_CXX_FLAGS=$(LLAMA_FLAGS)"
endif
# LLAMA_CMAKE passes more definitions to llama.cpp, such as LLAMA_CMAKE="GGML_CUDA=on", and stays until another is given.
LLAMA_CMAKE ?= $(shell cat .venv/.llama-cmake 2>/dev/null)
LLAMA_BUILD += $(foreach d,$(LLAMA_CMAKE),--config-settings-package "llama-cpp-python:cmake.define.$(d)")
# uv takes a library that is there for the one that is wanted, whatever it was built with.
LLAMA_BUILT := .venv/.llama-built-$(firstword $(shell echo '$(LLAMA_BUILD)' | cksum))

.PHONY: anew help setup serve stop test check lock docs bench clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

# Compiled once here: a start is a dozen Python processes, and none should parse its libraries from source.
setup: .venv/.ready  ## virtual environment, locked dependencies, llama-cpp-python built for this machine

.venv/.ready: requirements.lock Makefile $(if $(wildcard $(LLAMA_BUILT)),,anew)
	@PYTHON=$(PYTHON) sh scripts/preflight.sh
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -o '^uv==[0-9.]*' requirements.lock)"
	@$(if $(wildcard $(LLAMA_BUILT)),,rm -f .venv/.llama-built-* && \
	  $(BIN)/uv pip uninstall --quiet --python $(BIN)/python llama-cpp-python)
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock $(LLAMA_BUILD)
	@echo '$(LLAMA_CMAKE)' > .venv/.llama-cmake
	@touch $(LLAMA_BUILT) $@

serve: setup  ## serve the whole graph; CONFIG=configs/x.yaml, HOST= and PORT= choose
	@$(BIN)/python scripts/serve.py $(CONFIG) $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT)) $(if $(OPEN),--open)

stop:  ## stop what `make serve` started
	@$(BIN)/python scripts/serve.py --stop

test: setup  ## every test, the real engines on the bundled models included
	$(BIN)/python -m pytest $(ARGS)

check: setup  ## formatting, lint, types; the import rules are in tests/test_imports.py
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py

docs: setup  ## write docs/configuration.md again from the settings models
	$(BIN)/python scripts/write_configuration.py

bench: setup  ## latency of the eight rows against a running service
	$(BIN)/python -m bench.latency

lock:  ## resolve pyproject.toml again into requirements.lock (names, versions, hashes; no addresses)
	$(BIN)/uv pip compile pyproject.toml --group dev --python-version 3.11 --no-emit-index-url \
	  --generate-hashes --custom-compile-command "make lock" -o requirements.lock

clean:  ## remove the virtual environment and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis

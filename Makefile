# Everything a developer runs. Needs Python 3.11 or newer (with venv) and make; the rest is set up on first use.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format docs bench gpu-check lock

help:  ## this list
	@awk -F ':.*##' '/^[a-z-]+:.*##/ {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## the environment: .venv with every locked dependency and calhard itself

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "calhard needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo "'$(PYTHON)' has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)  ## simulates a small fleet with known faults, audits it, says where to look
	$(BIN)/calhard demo

test: $(READY)  ## all tests (those that need a GPU or the real data say that they were skipped)
	$(BIN)/python -m pytest

lint: $(READY)  ## ruff (rules and format) and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## lets ruff mend and format the source
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## runs every page of docs/ and brings outputs and reference tables up to date
	$(BIN)/python -m docs.make

# As modules: run as a file, benchmarks/statistics.py would hide Python's own `statistics`.
bench: $(READY)  ## error rates, recall, speed and memory against their gates; JSON to benchmarks/results
	$(BIN)/python -m benchmarks.statistics
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.service
	$(BIN)/python -m benchmarks.measure
	$(BIN)/python -m benchmarks.prepare
	$(BIN)/python -m benchmarks.ray
	$(BIN)/python -m benchmarks.shuffle
	$(BIN)/python -m benchmarks.publish

gpu-check: $(READY)  ## the tests that need an NVIDIA card, and the GPU benchmark
	@if ! nvidia-smi -L 2>/dev/null; then \
		echo "gpu-check: no NVIDIA card on this machine: nothing to check"; \
	else \
		$(BIN)/python -m pytest -m gpu; status=$$?; \
		if [ $$status -ne 0 ]; then exit $$status; fi; \
		if [ -f benchmarks/gpu.py ]; then $(BIN)/python -m benchmarks.gpu; fi; \
	fi

# One version of everything for all supported Pythons; no index, host or URL in the file.
lock: $(READY)  ## resolves requirements.lock anew
	$(BIN)/python -m pip install --quiet uv
	printf '%s\n' '# Made by "make lock": every dependency of calhard and of its development, with hashes.' > $(VENV)/lock
	$(BIN)/uv pip compile pyproject.toml --group dev --upgrade --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet >> $(VENV)/lock
	mv $(VENV)/lock requirements.lock

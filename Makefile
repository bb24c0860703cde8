# Needs Python 3.11 or newer with pip, and make. Everything is installed into .venv of this folder.
PYTHON ?= python3
VENV   ?= .venv
OUTPUT ?= runs/demo
ARGS   ?=

BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
LAUNCH  := $(BIN)/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
           --num_cpu_threads_per_process $(shell getconf _NPROCESSORS_ONLN)

# gateway_traffic is what the gateway's benchmarks send; remote scoring needs an environment with vLLM.
BENCHMARKS := $(filter-out %/gateway_traffic.py $(if $(AGENTQ_VLLM_PYTHON),,%/remote_scoring.py),$(wildcard benchmarks/*.py))

.PHONY: help install demo test lint type wheel-test benchmark clean

help:
	@echo "make demo        train a Q-value critic and measure what it gains; offline, about 10 minutes on 2 cores"
	@echo "make test        the tests"
	@echo "make lint        ruff and the import contract"
	@echo "make type        pyright"
	@echo "make wheel-test  build the wheel and use it away from this folder"
	@echo "make benchmark   the speed ratios of benchmarks/"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "AgentQ needs Python 3.11 or newer; $(PYTHON) is older. Run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing AgentQ and what it needs into $(VENV); this takes some minutes the first time."
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[dev,train]"
	@touch $@

demo: $(STAMP)
	$(LAUNCH) recipes/train_qvalue.py --output $(OUTPUT) $(ARGS)
	@echo "The report is $(abspath $(OUTPUT))/report.html (numbers: report.json)"

test: $(STAMP)
	$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

type: $(STAMP)
	$(BIN)/pyright --pythonpath $(BIN)/python

wheel-test: $(STAMP)
	.ci/wheel-test $(BIN)/python

benchmark: $(STAMP)
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script $(ARGS) || exit 1; done

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache

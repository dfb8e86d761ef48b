# The steps of the README, each once. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH := torch>=2.9,<2.14
CONSTRAINTS ?= tests/constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-all check lock docs bench matrix licences fuzz results clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

install: $(VENV)/.installed ## Make .venv and install digitvae (TORCH_INDEX=URL takes torch from another index)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "digitvae needs Python 3.11 or newer; name one with: make demo PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$(TORCH)"
	$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed $(CONSTRAINTS)
	$(PIP) install --quiet $(addprefix --constraint ,$(CONSTRAINTS)) --editable ".[dev]"
	@touch $@

demo: $(VENV)/.installed ## Train on the bundled digits and write runs/demo/report.html
	$(BIN)/digitvae demo

test: $(VENV)/.installed-dev ## Run the quick tests
	$(BIN)/python -m pytest -q -n logical -m "not slow"

test-slow: $(VENV)/.installed-dev ## Run the tests that `test` leaves out
	$(BIN)/python -m pytest -q -n logical -m slow

test-all: $(VENV)/.installed-dev ## Run all tests
	$(BIN)/python -m pytest -q -n logical

check: $(VENV)/.installed-dev ## Run the linters and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock: $(VENV)/.installed-dev ## Hold the tests to the versions in .venv (CONTRIBUTING.md says when)
	$(BIN)/python -m benchmarks.lock

docs: $(VENV)/.installed-dev ## Build the documentation site into build/docs; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "Built: build/docs/index.html"

bench: $(VENV)/.installed-dev ## Run all benchmarks (needs MNIST: set DIGITVAE_DATA, or let it be downloaded)
	$(BIN)/python -m benchmarks

matrix: $(VENV)/.installed-dev ## Run the quick tests with the oldest and the newest dependencies allowed
	$(BIN)/python -m benchmarks.dependencies

licences: $(VENV)/.installed-dev ## List the licence of every dependency, and what is known against it
	$(BIN)/python -m benchmarks.licences

fuzz: $(VENV)/.installed-dev ## Fuzz every reader of files, 10 minutes in all
	$(PIP) install --quiet atheris
	$(BIN)/python -m benchmarks.fuzz

results: $(VENV)/.installed-dev ## Write the tables of README and docs from benchmarks/results/*.json
	$(BIN)/python -m benchmarks.tables

clean: ## Remove .venv and caches; runs are kept
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info

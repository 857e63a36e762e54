# The few commands of this repository. A fresh machine needs Python 3.11 or newer, git and make.
#
# Packages come from the lock files, checked by hash, into .venv. Stamp files in .venv remember what was installed, so a
# second call installs nothing. uv is needed for `make lock` alone.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help sync test lint coverage mutation wheel-test lock docs clean

VENV ?= .venv
BIN := $(VENV)/bin
# Extra words for pytest: make test ARGS='tests/core -k backoff'
ARGS ?=
# What the installed wheel is tested with: everything but the rules about this source tree, with fewer seeds and kills.
WHEEL_ARGS ?= --ignore=tests/house
wheel-test: export BATCHSYNC_SEEDS ?= 360
wheel-test: export BATCHSYNC_KILLS ?= 24
wheel-test: export BATCHSYNC_MATRIX ?= 9
PIP := -m pip --disable-pip-version-check
INSTALL := $(PIP) install -qq --no-input --require-hashes --only-binary=:all:
PAGES := README.md $(wildcard docs/*.md)

# The first Python that is new enough and can make a virtual environment; `make PYTHON=...` names another.
WILL_DO := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	if $$name -c '$(WILL_DO)' >/dev/null 2>&1; then echo $$name; break; fi; done)

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14 | sed 's/^/make /'

sync: $(VENV)/.installed ## Run the jobs of jobs.yaml against the vendors in the box
	@$(BIN)/batchsync sync --mocks

test: $(VENV)/.installed-dev ## Run the whole test suite on all cores
	@$(BIN)/python -m pytest -n auto --dist worksteal -q $(ARGS)

lint: $(VENV)/.installed-dev ## Check style, types, import contracts, and that the documentation is up to date
	@echo "lint: ruff check" && $(BIN)/ruff check --quiet .
	@echo "lint: ruff format" && $(BIN)/ruff format --quiet --check .
	@echo "lint: mypy" && $(BIN)/mypy
	@echo "lint: import contracts" && { said=$$($(BIN)/lint-imports --no-cache 2>&1) || { echo "$$said"; exit 1; }; }
	@echo "lint: generated documentation" && $(BIN)/cog --check $(PAGES)

# Processes that the tests start or fork are measured too; those that a test kills cannot say what they ran. Seeds,
# kills and the crash matrix are left out: being measured makes them slow, and they add nothing to these.
MEASURED := engine/batchsync/core/*,engine/batchsync/journal/*,engine/batchsync/reconcile/*
MEASURED_BY := tests/core tests/journal tests/reconcile tests/journeys/test_cli_journeys.py \
	$(addprefix tests/crash/test_,lost_answers_and_lost_leases.py unknown_outcomes.py machine_faults.py)
coverage: $(VENV)/.installed-dev ## Measure the branch coverage of core/, journal/ and reconcile/
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m coverage run -m pytest -n auto --dist worksteal -q $(MEASURED_BY) $(ARGS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report --show-missing --skip-covered --include='$(MEASURED)' --fail-under=100

# mutmut wants the code and its tests side by side, so a copy of both is made. It is in no lock file.
PLANTED := build/mutation
SCORE := import json; \
	got = json.load(open("mutants/mutmut-cicd-stats.json")); \
	noticed, planted = got["killed"] + got["timeout"], got["total"] - got["skipped"]; \
	print(f"{noticed} of {planted} planted faults noticed: {noticed / planted:.1%}"); \
	raise SystemExit(noticed < 0.9 * planted)
mutation: $(VENV)/.installed-dev ## Plant small faults in core/ one by one: its tests must notice 90 % of them
	@$(BIN)/python -c 'import mutmut' 2>/dev/null || $(BIN)/python $(PIP) install -qq 'mutmut>=3.8,<4'
	@rm -rf $(PLANTED) && mkdir -p $(PLANTED)/tests
	@cp -r engine/batchsync pyproject.toml $(PLANTED) && cp -r tests/core $(PLANTED)/tests
	@cd $(PLANTED) && $(abspath $(BIN))/mutmut run >said 2>&1 || { tail -n 40 said; exit 1; }
	@cd $(PLANTED) && $(abspath $(BIN))/mutmut results && $(abspath $(BIN))/mutmut export-cicd-stats >said
	@cd $(PLANTED) && $(abspath $(BIN))/python -c '$(SCORE)'

docs: $(VENV)/.installed-dev ## Write the generated parts of the documentation again
	@$(BIN)/cog -r $(PAGES)

# The wheel is first run with nothing but its own dependencies, then tested, each time far from the source tree.
TREE := $(wildcard tests examples docs jobs.yaml Makefile README.md CHANGELOG.md LICENSE pyproject.toml)
wheel-test: $(VENV)/.installed-dev ## Build the wheel and test it, installed, away from this source tree
	@away=$$(mktemp -d) && trap 'rm -rf "$$away"' EXIT && mkdir "$$away/tree" && \
	echo "wheel-test: building the wheel" && \
	$(BIN)/python -m build --wheel --no-isolation --outdir "$$away" . >"$$away/log" 2>&1 || { cat "$$away/log"; exit 1; } && \
	cp -r $(TREE) "$$away/tree" && \
	echo "wheel-test: installing $$(basename "$$away"/*.whl) with what requirements.lock names" && \
	$(BIN)/python -m venv "$$away/venv" && \
	"$$away/venv/bin/python" $(INSTALL) -r requirements.lock && \
	"$$away/venv/bin/python" $(PIP) install -qq --no-index --no-deps "$$away"/*.whl && \
	echo "wheel-test: batchsync sync --mocks" && \
	(cd "$$away/tree" && "$$away/venv/bin/batchsync" sync --mocks) && \
	echo "wheel-test: the test suite" && \
	"$$away/venv/bin/python" $(INSTALL) -r requirements-dev.lock && \
	(cd "$$away/tree" && "$$away/venv/bin/python" -m pytest -n auto --dist worksteal -q $(WHEEL_ARGS))

# requirements.lock is held to the versions of the other, so that what people run is what was tested.
LOCK := -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links --extra mocks pyproject.toml
lock: $(VENV)/.installed-dev ## Choose the newest allowed versions and write both lock files
	@$(BIN)/python -c 'import uv' 2>/dev/null || $(BIN)/python $(PIP) install -qq uv
	@$(BIN)/python $(LOCK) --group dev --output-file requirements-dev.lock
	@$(BIN)/python $(LOCK) --group editable --constraint requirements-dev.lock --output-file requirements.lock
	@git --no-pager diff --stat -- requirements.lock requirements-dev.lock

clean: ## Remove what was built or installed here, but no state and no results
	@rm -rf $(VENV) .venv-3.* build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find engine specs mocks tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@if [ -z "$(PYTHON)" ]; then \
		echo "There is no Python 3.11 or newer with venv and pip here (python3 says: $$(python3 --version 2>&1 || true))."; \
		echo "Install one (on Debian: apt-get install python3 python3-venv), or name it: make sync PYTHON=/path/to/python3.12"; \
		exit 1; \
	fi >&2
	@echo "Making $(VENV) with $$($(PYTHON) --version)."
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/.made
	@echo "Installing batchsync and what requirements.lock names into $(VENV) (once; about 140 MB to download)."
	@$(BIN)/python $(INSTALL) -r requirements.lock
	@$(BIN)/python $(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "Installing what tests and checks need into $(VENV) (once; about 30 MB to download)."
	@$(BIN)/python $(INSTALL) -r requirements-dev.lock
	@touch $@

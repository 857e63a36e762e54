# The commands of this repository. They need Python 3.11 or newer, git and make.
#
# Packages come from the lock files, checked by hash, into .venv. Stamp files in .venv record what was installed, so that
# a second call installs nothing. Only `make lock` needs uv. Longer steps are scripts below tools/.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help sync test test-servers lint coverage mutation wheel-test lock docs site audit sbom licences clean

VENV ?= .venv
BIN := $(VENV)/bin
# The environment of the tools that `make audit` and `make sbom` need.
AUDIT := $(VENV)-audit
# More arguments for pytest: make test ARGS='tests/core -k backoff'
ARGS ?=
# Arguments for pytest in `make wheel-test`; empty: those of tools/test-wheel.sh
WHEEL_ARGS ?=
# The interpreter that makes .venv: make sync PYTHON=/path/to/python3.12
PYTHON ?= $(shell tools/find-python.sh)

PIP := -m pip --disable-pip-version-check
# Modules are compiled when they are first imported: most of those of the packages never are.
INSTALL := $(PIP) install -qq --no-input --no-compile --require-hashes --only-binary=:all:
PAGES := README.md $(wildcard docs/*.md docs/*/*.md)

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14 | sed 's/^/make /'

sync: $(VENV)/.installed ## Run the jobs of jobs.yaml against the bundled mock vendors
	@$(BIN)/batchsync sync --mocks

test: $(VENV)/.installed-dev ## Run the test suite on all cores
	@$(BIN)/python -m pytest -n auto --dist worksteal -q $(ARGS)

test-servers: $(VENV)/.installed-dev ## Run tests/servers against real servers, which are installed if missing
	@VENV='$(VENV)' tools/test-servers.sh $(ARGS)

lint: $(VENV)/.installed-dev ## Check style, types, import contracts and generated documentation
	@echo "lint: ruff check" && $(BIN)/ruff check --quiet .
	@echo "lint: ruff format" && $(BIN)/ruff format --quiet --check .
	@echo "lint: mypy" && $(BIN)/mypy
	@echo "lint: import contracts" && { log=$$($(BIN)/lint-imports --no-cache 2>&1) || { echo "$$log"; exit 1; }; }
	@echo "lint: generated documentation" && $(BIN)/cog --check $(PAGES)

# Processes that the tests start or fork are measured as well; a killed process cannot write its measurements. The
# simulation and the crash matrix are left out: measuring slows them down, and they add no coverage to these tests.
MEASURED := engine/batchsync/core/*,engine/batchsync/journal/*,engine/batchsync/reconcile/*
MEASURED_BY := tests/core tests/journal tests/reconcile tests/journeys/test_cli_journeys.py \
	tests/crash/test_lost_results_and_leases.py tests/crash/test_unknown_outcomes.py tests/crash/test_machine_faults.py
coverage: $(VENV)/.installed-dev ## Require 100 % branch coverage of core/, journal/ and reconcile/
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m coverage run -m pytest -n auto --dist worksteal -q $(MEASURED_BY) $(ARGS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report --show-missing --skip-covered --include='$(MEASURED)' --fail-under=100

# mutmut is in no lock file, because only this target needs it.
mutation: $(VENV)/.installed-dev ## Require that the tests of core/ detect 90 % of small faults in it
	@$(BIN)/python -c 'import mutmut' 2>/dev/null || $(BIN)/python $(PIP) install -qq 'mutmut>=3.8,<4'
	@$(BIN)/python tools/mutation_score.py

docs: $(VENV)/.installed-dev ## Write the generated parts of the documentation
	@$(BIN)/cog -r $(PAGES)

# mkdocs checks pages, links and anchors of the sources; tools/check_site.py what it built. With --quiet, mkdocs would not
# count its warnings.
site: $(VENV)-docs/.installed ## Build the documentation into build/site, and check its links; needs no network
	@log=$$(NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build --strict --clean 2>&1) || { echo "$$log"; exit 1; }
	@$(VENV)-docs/bin/python tools/check_site.py build/site

wheel-test: $(VENV)/.installed-dev ## Build the wheel and test it, installed, away from this source tree
	@VENV='$(VENV)' WHEEL_ARGS='$(WHEEL_ARGS)' tools/test-wheel.sh

# Versions in requirements.lock are constrained by requirements-dev.lock: users run the versions that were tested.
COMPILE := -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
LOCK := $(COMPILE) --extra mocks pyproject.toml
lock: $(VENV)/.installed-dev ## Choose the newest allowed versions and write the lock files; then run `make licences`
	@$(BIN)/python -c 'import uv' 2>/dev/null || $(BIN)/python $(PIP) install -qq uv
	@$(BIN)/python $(LOCK) --extra excel --extra postgres --extra mysql --extra duckdb --extra storage --extra jwt --extra page \
		--extra metrics --extra alerts --extra traces --extra dask --group dev --output-file requirements-dev.lock
	@$(BIN)/python $(LOCK) --group editable --constraint requirements-dev.lock --output-file requirements.lock
	@$(BIN)/python $(COMPILE) --extra delta pyproject.toml --constraint requirements-dev.lock --output-file requirements-delta.lock
	@$(BIN)/python $(COMPILE) --group moto --output-file requirements-moto.lock
	@$(BIN)/python $(COMPILE) --group gcs --output-file requirements-gcs.lock
	@$(BIN)/python $(COMPILE) --group docs --output-file requirements-docs.lock
	@$(BIN)/python $(COMPILE) --group audit --constraint requirements-dev.lock --output-file requirements-audit.lock
	@git --no-pager diff --stat -- requirements.lock requirements-dev.lock requirements-audit.lock requirements-delta.lock requirements-moto.lock requirements-gcs.lock requirements-docs.lock

# `--strict`: a package that the advisory service does not know fails the audit instead of passing unnoticed.
LOCKS := requirements.lock requirements-dev.lock requirements-audit.lock requirements-delta.lock requirements-moto.lock requirements-gcs.lock requirements-docs.lock
audit: $(AUDIT)/.installed ## Check the locked packages for known vulnerabilities; asks the advisories of PyPI
	@for lock in $(LOCKS); do \
		echo "audit: $$lock"; \
		$(AUDIT)/bin/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r $$lock; \
	done

sbom: $(AUDIT)/.installed ## Write the bill of materials of requirements.lock, dist/batchsync.cdx.json (CycloneDX)
	@mkdir -p dist
	@$(AUDIT)/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --mc-type application \
		--output-reproducible --output-format JSON --output-file dist/batchsync.cdx.json

licences: $(VENV)/.installed-dev $(AUDIT)/.installed $(VENV)-docs/.installed ## Write docs/licences.md from the lock files and the installed packages
	@$(BIN)/python tools/licences.py $(AUDIT)/lib/python*/site-packages $(VENV)-moto/lib/python*/site-packages $(VENV)-gcs/lib/python*/site-packages $(VENV)-docs/lib/python*/site-packages

clean: ## Remove everything built or installed here; state and results stay
	@rm -rf $(VENV) $(AUDIT) $(VENV)-moto $(VENV)-gcs $(VENV)-docs $(VENV)-azurite .venv-3.* build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find engine specs mocks tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or newer with venv and pip found (python3: $$(python3 --version 2>&1 || true))."; \
		echo "Install it (on Debian: apt-get install python3 python3-venv), or name it: make sync PYTHON=/path/to/python3.12"; \
		exit 1; \
	fi >&2
	@echo "Making $(VENV) with $$($(PYTHON) --version)."
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/.made
	@echo "Installing batchsync and the packages of requirements.lock into $(VENV) (once; about 140 MB to download)."
	@$(BIN)/python $(INSTALL) -r requirements.lock
	@$(BIN)/python $(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "Installing the packages of requirements-dev.lock into $(VENV) (once; about 30 MB to download)."
	@$(BIN)/python $(INSTALL) -r requirements-dev.lock
	@touch $@

$(AUDIT)/.installed: requirements-audit.lock | $(VENV)/.made
	@echo "Installing the packages of requirements-audit.lock into $(AUDIT) (once; about 20 MB to download)."
	@$(BIN)/python -m venv --clear $(AUDIT)
	@$(AUDIT)/bin/python $(INSTALL) -r requirements-audit.lock
	@touch $@

$(VENV)-docs/.installed: requirements-docs.lock | $(VENV)/.made
	@echo "Installing the packages of requirements-docs.lock into $(VENV)-docs (once; about 15 MB to download)."
	@$(BIN)/python -m venv --clear $(VENV)-docs
	@$(VENV)-docs/bin/python $(INSTALL) -r requirements-docs.lock
	@touch $@

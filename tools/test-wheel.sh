#!/usr/bin/env bash
# Build the wheel, install it into a fresh virtual environment away from this source tree, and test it there.
#
# The installed wheel first runs `batchsync sync --mocks` with nothing but its own locked dependencies, and then the tests
# that depend on what is packaged: commands, vendor specs, mocks and the processes that they start.
#
# Environment:
#   VENV        The virtual environment that builds the wheel (default .venv).
#   WHEEL_ARGS  Arguments for pytest; by default the folders of those tests.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
WHEEL_ARGS=${WHEEL_ARGS:-tests/contract tests/journeys tests/mocks tests/spec tests/vendors tests/crash/test_recovery.py}
TREE=(tests examples docs jobs.yaml Makefile README.md CHANGELOG.md LICENSE pyproject.toml)

away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT
python=$away/venv/bin/python
pip() { "$python" -m pip --disable-pip-version-check install -qq --no-input "$@"; }

echo "wheel-test: building the wheel"
"$VENV/bin/python" -m build --wheel --no-isolation --outdir "$away" . >"$away/log" 2>&1 || {
  cat "$away/log"
  exit 1
}
mkdir "$away/tree"
cp -r "${TREE[@]}" "$away/tree"

echo "wheel-test: installing $(basename "$away"/*.whl) with the packages of requirements.lock"
"$VENV/bin/python" -m venv "$away/venv"
pip --require-hashes --only-binary=:all: -r requirements.lock
pip --no-index --no-deps "$away"/*.whl

echo "wheel-test: batchsync sync --mocks"
(cd "$away/tree" && "$away/venv/bin/batchsync" sync --mocks)

echo "wheel-test: the test suite"
pip --require-hashes --only-binary=:all: -r requirements-dev.lock
# shellcheck disable=SC2086 # WHEEL_ARGS is several words.
(cd "$away/tree" && "$python" -m pytest -n auto --dist worksteal -q $WHEEL_ARGS)

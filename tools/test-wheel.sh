#!/usr/bin/env bash
# Build the wheel, install it into a fresh virtual environment away from this source tree, and test it there.
#
# The installed wheel first runs `batchsync sync --mocks` with nothing but its own locked dependencies, and then the tests
# that depend on what is packaged: vendor specs, mocks, and of the commands those that start processes or write files.
#
# Environment:
#   VENV        The virtual environment that builds the wheel (default .venv).
#   WHEEL_ARGS  Arguments for pytest; by default those tests.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
JOURNEYS=(
  tests/journeys/test_cli_doctor.py
  tests/journeys/test_cli_init.py
  tests/journeys/test_cli_journeys.py
  tests/journeys/test_cli_mocks.py
  tests/journeys/test_cli_mocks_serve.py
  tests/journeys/test_cli_output.py
  tests/journeys/test_cli_validate.py
  tests/journeys/test_readme.py
)
PACKAGED=(
  tests/contract
  tests/crash/test_recovery.py
  tests/mocks/test_mock_docs.py
  tests/mocks/test_mock_plugin.py
  tests/mocks/test_mock_standalone.py
  tests/spec
  tests/vendors/test_commit_call.py
  tests/vendors/test_mocks_process.py
  tests/vendors/test_python_vendors.py
)
WHEEL_ARGS=${WHEEL_ARGS:-${JOURNEYS[*]} ${PACKAGED[*]}}
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

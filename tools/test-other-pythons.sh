#!/usr/bin/env bash
# Run a share of the test suite under each other Python version that pyproject.toml declares and this machine has.
#
# `make test` runs the whole suite under one version (that of $VENV, default .venv). This script looks for the others on
# PATH and among the versions of pyenv, makes a virtual environment .venv-X.Y for each, and runs SHARE there. Versions that
# are not installed, or that cannot make a virtual environment, are reported and skipped; any other failure fails the script.
#
# Environment:
#   VENV   The virtual environment that `make test` uses; its version is not tested again.
#   SHARE  Arguments for pytest: test files, folders and options.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
SHARE=${SHARE:-tests/core tests/journal tests/spec tests/schedule tests/sinks tests/report tests/simulation/test_simulation.py
  tests/vendors/test_http.py tests/data/test_staging.py tests/data/test_row_outcomes.py tests/data/test_formats.py
  tests/crash/test_recovery.py tests/journeys/test_cli_journeys.py tests/journeys/test_every_mode.py}
export BATCHSYNC_SEEDS=${BATCHSYNC_SEEDS:-40}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

# Print possible interpreters of a version. A shim of pyenv is listed, too, but fails unless its version is selected.
candidates() {
  type -ap "python$1" || true
  local root
  for root in "${PYENV_ROOT:-}" "$(pyenv root 2>/dev/null || true)" "$HOME/.pyenv"; do
    [ -z "$root" ] || ls -d "$root/versions/$1".*/bin/"python$1" 2>/dev/null | sort -rV || true
  done
}

tested=$(version_of "$VENV/bin/python")
if [ -z "$tested" ]; then
  echo "$VENV is not a virtual environment; run \`make test\` first." >&2
  exit 1
fi

for wanted in $(sed -n 's/.*"Programming Language :: Python :: \(3\.[0-9]*\)".*/\1/p' pyproject.toml); do
  if [ "$wanted" = "$tested" ]; then
    continue
  fi
  python= unable=
  while read -r candidate; do
    if [ "$(version_of "$candidate")" != "$wanted" ]; then
      continue
    elif "$candidate" -c 'import venv, ensurepip, sqlite3, ssl' 2>/dev/null; then
      python=$candidate
      break
    fi
    unable=$candidate
  done < <(candidates "$wanted")
  why="not on this machine"
  [ -z "$unable" ] || why="$unable cannot make a virtual environment"
  if [ -z "$python" ]; then
    echo "Python $wanted: skipped, $why"
    continue
  fi
  echo "Python $wanted: $("$python" --version) at $python"
  start=$SECONDS
  make ".venv-$wanted/.installed-dev" VENV=".venv-$wanted" PYTHON="$python"
  installed=$SECONDS
  # shellcheck disable=SC2086 # SHARE is several words.
  ".venv-$wanted/bin/python" -m pytest -n auto --dist worksteal -q $SHARE
  echo "Python $wanted: installed in $((installed - start)) s, tested in $((SECONDS - installed)) s"
done

#!/usr/bin/env bash
# Print the first Python interpreter on PATH that can make the virtual environment, or nothing if there is none.
#
# It has to be Python 3.11 or newer with venv and ensurepip; Debian, for instance, ships ensurepip in a package of its own.
set -euo pipefail

PYTHON_CANDIDATES=${PYTHON_CANDIDATES:-python3 python3.14 python3.13 python3.12 python3.11}

for candidate in $PYTHON_CANDIDATES; do
  if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    echo "$candidate"
    exit
  fi
done

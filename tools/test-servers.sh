#!/usr/bin/env bash
# Run the tests of tests/servers, which compare batchsync with servers of their own and its mocks with clients, and
# install those that are missing.
#
# A server is installed with apt-get as root (or with sudo where it asks for no password). No service has to run: the
# tests start servers below temporary folders, and stop them.
#
# Environment:
#   VENV  The virtual environment with the tests' packages (default .venv).
# Arguments: more arguments for pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}

# Whether a program is on PATH, or where Debian has the programs of PostgreSQL and of servers.
present() { [ -n "$(command -v "$1" || ls /usr/lib/postgresql/*/bin/"$1" /usr/sbin/"$1" 2>/dev/null)" ]; }

# install PROGRAM PACKAGE: install a package of Debian unless the program is present.
install() {
  local as_root=()
  if present "$1"; then
    return
  fi
  if [ "$(id -u)" != 0 ]; then
    as_root=(sudo -n)
  fi
  if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
    echo "test-servers: $1 is missing, and this script cannot install it: it needs apt-get, and root or sudo without a"
    echo "password. Install the package $2 (on Debian: sudo apt-get install $2), so that $1 is on PATH."
    exit 1
  fi >&2
  echo "test-servers: installing the package $2"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -ec \
    "apt-get -qq update && apt-get -qq install -y --no-install-recommends $2" >/dev/null
}

install postgres postgresql
install mariadbd mariadb-server
# The browser that opens the status page of the mocks, and a client that uploads to them.
install chromium chromium
install curl curl

# The reader of Delta logs, beside the tests' packages, and servers of storage in environments of their own: moto for
# S3, fake-gcs-server for Google Cloud Storage, and Azurite for Azure, which needs Node.js and npm. Beside moto are
# botocore and httpx, which upload to the mocks.
PIP=(-m pip --disable-pip-version-check install -qq --no-input --require-hashes --only-binary=:all:)
MOTO=$VENV-moto
if ! cmp -s requirements-delta.lock "$VENV/.installed-delta"; then
  echo "test-servers: installing the packages of requirements-delta.lock into $VENV (once; about 55 MB to download)"
  "$VENV/bin/python" "${PIP[@]}" -r requirements-delta.lock
  cp requirements-delta.lock "$VENV/.installed-delta"
fi
if ! cmp -s requirements-moto.lock "$MOTO/.installed"; then
  echo "test-servers: installing the packages of requirements-moto.lock into $MOTO (once; about 40 MB to download)"
  "$VENV/bin/python" -m venv --clear "$MOTO"
  "$MOTO/bin/python" "${PIP[@]}" -r requirements-moto.lock
  cp requirements-moto.lock "$MOTO/.installed"
fi
GCS=$VENV-gcs
if ! cmp -s requirements-gcs.lock "$GCS/.installed"; then
  echo "test-servers: installing the package of requirements-gcs.lock into $GCS (once; about 10 MB to download)"
  "$VENV/bin/python" -m venv --clear "$GCS"
  "$GCS/bin/python" "${PIP[@]}" -r requirements-gcs.lock
  cp requirements-gcs.lock "$GCS/.installed"
fi
AZURITE=$VENV-azurite
LEFT_OUT=()
if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
  echo "test-servers: left out: tests/servers/test_azurite.py (Azure Blob Storage) and tests/servers/test_upload_node.py"
  echo "(uploads by fetch), which need Node.js and npm. Install them (on Debian: sudo apt-get install npm), then run this again."
  LEFT_OUT=(--ignore tests/servers/test_azurite.py --ignore tests/servers/test_upload_node.py)
elif ! cmp -s tools/azurite/package-lock.json "$AZURITE/.installed"; then
  echo "test-servers: installing Azurite into $AZURITE (once; about 40 MB to download)"
  rm -rf "$AZURITE"
  mkdir "$AZURITE"
  cp tools/azurite/package.json tools/azurite/package-lock.json "$AZURITE"
  npm ci --prefix "$AZURITE" --ignore-scripts --no-audit --no-fund --silent
  cp tools/azurite/package-lock.json "$AZURITE/.installed"
fi

exec "$VENV/bin/python" -m pytest -q tests/servers ${LEFT_OUT[@]+"${LEFT_OUT[@]}"} "$@"

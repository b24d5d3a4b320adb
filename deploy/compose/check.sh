#!/bin/sh
# Asks a running mesh in containers for everything. It is the one at MESHGATE_URL, or else at the
# address and port that .env names; the admin key comes from .env too.
set -eu
cd "$(dirname "$0")/../.."
if [ -f .env ]; then set -a; . ./.env; set +a; fi
export MESHGATE_URL="${MESHGATE_URL:-http://${MESHGATE_BIND:-127.0.0.1}:${MESHGATE_PORT:-8080}}"
exec "${PYTHON:-.venv/bin/python}" -m pytest -m compose tests/compose

#!/bin/sh
# Writes the secrets of docker-compose.yml into .env, which Compose reads. What is there stays: run it
# again after an upgrade, for secrets that are new. To rotate one, see docs/operations.md.
set -eu
cd "$(dirname "$0")/../.."
file=${1:-.env}
umask 077
touch "$file"
chmod 600 "$file"
# A line that was left without its end must not swallow the next one.
if [ -n "$(tail -c 1 "$file")" ]; then echo >> "$file"; fi

secret() {
  if ! grep -q "^$1=." "$file"; then
    printf '%s=%s%s\n' "$1" "${2:-}" "$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" >> "$file"
    echo "made $1"
  fi
}

secret MESHGATE_MESH_TOKEN
secret MESHGATE_KEY_PEPPER
secret MESHGATE_ADMIN_KEY mg-admin-
secret POSTGRES_PASSWORD
secret REDIS_PASSWORD
secret CACHE_REDIS_PASSWORD
echo "the secrets are in $file, which its owner alone may read"

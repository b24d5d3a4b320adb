#!/bin/sh
# buf lints a workspace; google's protos, which ours import, come from the installed package.
set -eu
workspace=$(mktemp -d)
trap 'rm -rf "$workspace"' EXIT
cp -r protos buf.yaml "$workspace"
mkdir -p "$workspace/google-protos/google"
cp -r "$GOOGLE_PROTOS/google/api" "$GOOGLE_PROTOS/google/rpc" "$workspace/google-protos/google"
sed -i 's|^  - path: protos$|  - path: protos\n  - path: google-protos\n    lint: {ignore: [google-protos]}\n    breaking: {ignore: [google-protos]}|' "$workspace/buf.yaml"
buf=$(cd "$(dirname "$BIN")" && pwd)/$(basename "$BIN")/buf
cd "$workspace"
"$buf" lint
"$buf" format --diff --exit-code --path protos/meshgate

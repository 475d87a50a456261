#!/bin/sh
# Take the Lambda runtime interface emulator for this machine out of the locked wheel of the SAM CLI:
# scripts/get_emulator.sh .venv/bin/aws-lambda-rie
set -eu
target=$1
case $(uname -m) in
    x86_64 | amd64) arch=x86_64 ;;
    arm64 | aarch64) arch=arm64 ;;
    *) echo "error: there is no Lambda emulator for $(uname -m)" >&2 && exit 1 ;;
esac
mkdir -p "$(dirname "$target")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The lock file's entry of this one package: its name with version, and the hashes that follow.
awk '/^aws-sam-cli==/ {found = 1} found && /^ *#/ {exit} found' requirements-tools.txt >"$work/requirements.txt"
echo "fetching the Lambda emulator ..."
.venv/bin/python scripts/plain_pip.py download --quiet --disable-pip-version-check --no-input --progress-bar off \
    --require-hashes --no-deps --only-binary=:all: --dest "$work" -r "$work/requirements.txt"
.venv/bin/python -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, open(sys.argv[3], "wb") as target:
    target.write(wheel.read(sys.argv[2]))' "$work"/*.whl "samcli/local/rapid/aws-lambda-rie-$arch" "$work/rie"
chmod +x "$work/rie"
mv "$work/rie" "$target"

#!/bin/sh
# Pack what runs in Lambda into a folder, which becomes the function's zip: scripts/build_artifact.sh <folder>
#
# * handler.py, lib/ and the locked requirements, nothing else.
# * Pure Python wheels only (--platform any): one artifact serves arm64 and x86_64, Lambda's Python 3.13 and, in the
#   tests, this machine's Python. A requirement that has none fails the build here instead of the function there.
# * boto3 is packed although Lambda has one, because requests brings a urllib3 that botocore would then use: tests and
#   Lambda run the same pair this way. Its descriptions of 400 other services are left out.
# * Bytecode for Python 3.13 if there is one on this machine: Lambda cannot keep any, so each cold start would compile
#   every module again, at about three quarters of its import time. It is checked against the source when it is
#   loaded, so that what somebody edits in the Lambda console still counts.
set -eu
unset CDPATH # with it, `cd` prints where it goes
target=${1:?the folder to pack into, which sam build gives}
here=$(cd "$(dirname "$0")/.." && pwd)
services="s3 ssm secretsmanager"

for python in "$here/.venv/bin/python" "$here/.venv-tools/bin/python" python3; do
    if "$python" -c 'import pip' >/dev/null 2>&1; then break; fi
done
mkdir -p "$target"
if [ -n "$(ls -A "$target")" ]; then
    echo "error: $target is not empty" >&2
    exit 1
fi
"$python" "$here/scripts/plain_pip.py" install --quiet --disable-pip-version-check --no-input --progress-bar off --root-user-action=ignore \
    --target "$target" --requirement "$here/requirements.txt" --require-hashes --no-deps --no-compile \
    --only-binary=:all: --platform any --implementation py --abi none --python-version 3.13

whole=$(du -sk "$target" | cut -f1)
for service in "$target"/botocore/data/*/; do
    case " $services " in
        *" $(basename "$service") "*) ;;
        *) rm -r "$service" ;;
    esac
done
rm -rf "$target/bin" "$target/boto3/data" "$target/boto3/examples"

cp "$here/handler.py" "$target/"
# Not the hidden ones: editors leave locks and copies of theirs beside a file that is open.
(cd "$here" && find lib -name '.*' -prune -o -name '*.py' -print) | while read -r file; do
    mkdir -p "$target/$(dirname "$file")"
    cp "$here/$file" "$target/$file"
done
find "$target" -name __pycache__ -type d -prune -exec rm -rf {} +
chmod -R u+w,a+rX "$target" # Lambda reads it as somebody else; this clone may be for its owner alone
source=$(du -sk "$target" | cut -f1)

bytecode="without bytecode: no Python 3.13 was found"
for python in ${PYTHON313:-} "$here/.venv/bin/python" python3.13; do
    if "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1; then
        (cd "$target" && "$python" -m compileall -q --invalidation-mode checked-hash .)
        bytecode="with bytecode for Python 3.13 $(du -sk "$target" | cut -f1) KB"
        break
    fi
done
echo "packed into $target: requirements $whole KB, pruned, with the code $source KB, $bytecode"

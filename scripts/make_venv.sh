#!/bin/sh
# Make (or bring up to date) one virtual environment from one lock file: scripts/make_venv.sh .venv requirements-dev.txt
# Needs a Python of 3.11 or later and PyPI. Python 3.13, which Lambda runs, is taken when there is one.
set -eu
venv=$1 lock=$2

# A command of that name is not enough: a version manager's shim exists and fails.
python=
for candidate in ${PYTHON:-} python3.13 python3 python3.14 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "error: Python 3.11 or later is needed and was not found (python3 is: $(python3 --version 2>&1 || true))." >&2
    echo "       Install one, or name it: make PYTHON=/path/to/python3 ..." >&2
    exit 1
fi

# Debian ships venv without what it needs to install pip, in a package of its own.
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing $package, which 'python3 -m venv' needs on Debian and Ubuntu ..."
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
    else
        echo "error: $python cannot make virtual environments: install the package that lets it," >&2
        echo "       on Debian and Ubuntu: sudo apt-get install $package" >&2
        exit 1
    fi
fi

# One that is there and runs is kept, whichever Python made it; not one whose Python is gone or too old.
if ! "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
echo "installing $lock into $venv ($("$venv/bin/python" --version)): about a minute the first time ..."
# Wheels only: nothing is built, so no compiler is needed and no package's code runs during the installation.
# --no-deps: the lock is complete, and pip's own resolver stumbles over locked packages with extras.
"$venv/bin/python" "$(dirname "$0")/plain_pip.py" install \
    --quiet --disable-pip-version-check --no-input --progress-bar off \
    --require-hashes --no-deps --only-binary=:all: -r "$lock"

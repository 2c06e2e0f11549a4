# Sourced by the verbs beside it: makes environments from the versions pinned in requirements/, once and again whenever
# these or pyproject.toml change. A failed install leaves no stamp, so the next call tries again.

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
export PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONDONTWRITEBYTECODE  # or each of the many processes of tests and benchmarks would compile the package anew

# The first of the given Pythons that runs: python3.12, or pyenv's, which may be installed without being on the path.
find_python() {
    local name found
    for name in "$@"; do
        for found in "$(command -v "$name" || true)" "$HOME"/.pyenv/versions/"${name#python}".*/bin/"$name"; do
            if [ -x "$found" ] && "$found" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
                echo "$found"
                return
            fi
        done
    done
    return 1
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*" >&2; }

# make_venv FOLDER PYTHON EXTRAS PINS: PINS is a file of requirements/, or `newest` for no pins at all.
make_venv() {
    local folder=$1 python=$2 extras=$3 pins=$4 key
    local stamp="$folder/.made-from"
    key="$({ cat pyproject.toml "requirements/$pins" 2>/dev/null || true; } | cksum) $extras $pins"
    if [ -x "$folder/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null || true)" = "$key" ]; then
        return
    fi
    say "$folder, 1 of 3: an environment of Python $(version_of "$python")"
    [ -x "$folder/bin/python" ] || "$python" -m venv "$folder" >&2
    say "$folder, 2 of 3: pip"
    "$folder/bin/python" -m pip install --quiet --upgrade pip >&2  # older ones try versions for half an hour
    local constraint=()
    if [ "$pins" != newest ]; then constraint=(--constraint "requirements/$pins"); fi
    say "$folder, 3 of 3: lamofc_store with $extras and the libraries under it (PyTorch is several GB, some minutes)"
    "$folder/bin/python" -m pip install --quiet "${constraint[@]}" --editable ".[$extras]" >&2
    echo "$key" >"$stamp"
    say "$folder: ready"
}

# The extras of the environment in which tests, demo and benchmarks run. CompressAI has no wheels for Python 3.13 and
# newer; without it the tests of `learned` that need it are skipped.
main_extras() {
    if "$1" -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then echo dev,learned; else echo dev; fi
}

# The pins of a Python's own version.
pins_for() {
    local pins
    pins="$(version_of "$2")/$1.txt"
    if [ -f "requirements/$pins" ]; then echo "$pins"; else echo newest; fi
}

# The packages of an environment as name==version; not pip's own tools, nor this package.
pinned() { "$1/bin/python" -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==[^ ]+$' | sort --ignore-case; }

# make_main_venv [EXTRA]: .venv, with one more extra where a verb needs it.
make_main_venv() {
    local python extras
    python=$(find_python python3.11 python3.12 python3 python3.13) || {
        echo "no Python of 3.11 or later was found" >&2
        echo "install one, for instance: pyenv install 3.12" >&2
        exit 1
    }
    if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi
    extras=$(main_extras "$python")${1:+,$1}
    # With the extra it holds all that it held without.
    if [ -z "${1:-}" ] && [[ "$(cat .venv/.made-from 2>/dev/null)" == *" $extras,bench "* ]]; then extras+=,bench; fi
    make_venv .venv "$python" "$extras" "$(pins_for main "$python")"
}

# Sourced by the verbs beside it: makes .venv once and again whenever pyproject.toml changes.
# A failed install leaves no stamp, so the next call tries again.

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
export PIP_DISABLE_PIP_VERSION_CHECK=1

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

# make_venv FOLDER PYTHON EXTRAS [PACKAGE...]
make_venv() {
    local folder=$1 python=$2 extras=$3
    shift 3
    local stamp="$folder/.made-from" key
    key="$(cksum <pyproject.toml) $extras $*"
    if [ -x "$folder/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null || true)" = "$key" ]; then
        return
    fi
    echo "making $folder with $extras; the first time takes some minutes" >&2
    [ -x "$folder/bin/python" ] || "$python" -m venv "$folder" >&2
    "$folder/bin/python" -m pip install --quiet --upgrade pip >&2  # older ones try versions for half an hour
    "$folder/bin/python" -m pip install --quiet --editable ".[$extras]" "$@" >&2
    echo "$key" >"$stamp"
}

# The learned codecs need compressai, which has no wheels for every Python; without them their tests are skipped.
make_main_venv() {
    local python extras=dev,learned
    python=$(find_python python3.11 python3.12 python3 python3.13) || {
        echo "no Python of 3.11 or later was found" >&2
        echo "install one, for instance: pyenv install 3.12" >&2
        exit 1
    }
    if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi
    if ! "$python" -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then extras=dev; fi
    make_venv .venv "$python" "$extras"
}

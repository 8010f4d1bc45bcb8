# Sourced by demo, test and check: a virtual environment in .venv with the package and the extras asked for.
# Usage: . scripts/setup.sh EXTRA     (demo, test or dev)

set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

find_python() {
    for name in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "mpcstats needs Python 3.11, 3.12 or 3.13; none was found." >&2
    echo "  Debian, Ubuntu: apt install python3 python3-venv     or set PYTHON=/path/to/python3.12" >&2
    return 1
}

make_environment() {
    python=$(find_python)
    if ! "$python" -m venv .venv >.venv.log 2>&1; then
        cat .venv.log >&2
        rm -rf .venv .venv.log
        echo "The environment could not be made; the module venv may be missing." >&2
        echo "  Debian, Ubuntu: apt install python3-venv      Fedora: dnf install python3" >&2
        return 1
    fi
    rm -f .venv.log
}

[ -x .venv/bin/python ] || make_environment

# Each set of extras contains the ones before it. What is installed is remembered with the digest of pyproject.toml.
level() { case "$1" in demo) echo 1 ;; test) echo 2 ;; dev) echo 3 ;; *) echo 0 ;; esac; }
asked=$1
read -r have digest 2>/dev/null <.venv/mpcstats-installed || { have=none; digest=none; }
now=$(cksum <pyproject.toml | tr ' ' '-')
if [ "$digest" != "$now" ] || [ "$(level "$have")" -lt "$(level "$asked")" ]; then
    [ "$(level "$have")" -le "$(level "$asked")" ] || asked=$have
    echo "installing mpcstats and its dependencies into .venv (a minute or two the first time)" >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --retries 5 --editable ".[$asked]" >&2
    echo "$asked $now" >.venv/mpcstats-installed
fi

# Sourced by demo, test and check: a virtual environment in .venv with the package and the extras asked for.
# Usage: extras=demo; . scripts/setup.sh     (demo, test or dev; not every sh hands arguments to a sourced file)

set -eu
unset PYTHONDONTWRITEBYTECODE # nodes start many times, and would compile the package each time
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

stop() {
    printf '%s\n' "$@" >&2
    exit 1
}

usable() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then # who names an interpreter gets that one, or an error
        usable "$PYTHON" ||
            stop "PYTHON=$PYTHON is not Python 3.11, 3.12 or 3.13." "  next: set PYTHON to one of them, or unset it"
        command -v "$PYTHON"
        return
    fi
    for name in python3 python3.13 python3.12 python3.11; do
        if usable "$name"; then
            command -v "$name"
            return
        fi
    done
    stop "mpcstats needs Python 3.11, 3.12 or 3.13; none was found." \
        "  Debian, Ubuntu: apt install python3 python3-venv     or set PYTHON=/path/to/python3.12"
}

make_environment() {
    python=$(find_python)
    [ -w . ] || stop "$root is not writable: .venv cannot be made here." "  next: clone into a folder of your own"
    echo "making .venv with Python $(version "$python")" >&2
    if ! "$python" -m venv "$@" .venv >.venv.log 2>&1; then
        cat .venv.log >&2
        rm -rf .venv .venv.log
        stop "The environment could not be made; the module venv may be missing." \
            "  Debian, Ubuntu: apt install python3-venv      Fedora: dnf install python3"
    fi
    rm -f .venv.log
}

# Each set of extras contains the ones before it. Remembered are what is installed, the digest of pyproject.toml, and the
# folder: the commands of an environment that was copied or moved with its clone run the code of the old folder.
level() { case "$1" in demo) echo 1 ;; test) echo 2 ;; dev) echo 3 ;; *) echo 0 ;; esac; }
read -r have digest place 2>/dev/null <.venv/mpcstats-installed || { have=none; digest=none; place=$root; }

if [ ! -x .venv/bin/python ] || [ "$place" != "$root" ]; then
    have=none
    make_environment --clear
elif [ ! -x .venv/bin/pip ]; then # the last file of a new environment: an earlier attempt was stopped
    make_environment
elif [ -n "${PYTHON:-}" ]; then
    python=$(find_python)
    [ "$(version "$python")" = "$(version .venv/bin/python)" ] ||
        stop ".venv was made with Python $(version .venv/bin/python), and PYTHON asks for $(version "$python")." \
            "  next: rm -r $root/.venv"
fi

asked=$extras
now=$(cksum <pyproject.toml | tr ' ' '-')
if [ "$digest" != "$now" ] || [ "$(level "$have")" -lt "$(level "$asked")" ]; then
    [ "$(level "$have")" -le "$(level "$asked")" ] || asked=$have
    echo "installing mpcstats and its dependencies into .venv (a minute or two the first time)" >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --retries 5 --editable ".[$asked]" >&2 ||
        stop "The installation failed; pip's reason is above." "  next: $0 again"
    echo "$asked $now $root" >.venv/mpcstats-installed
fi

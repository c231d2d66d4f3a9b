#!/bin/sh
# Make .venv hold exactly what requirements.txt locks. Run again, it does nothing where nothing changed.
# PYTHON=/path/to/python chooses the interpreter; otherwise the first on PATH that really runs is taken.
set -eu
cd "$(dirname "$0")"

venv=.venv
lock=requirements.txt
stamp=$venv/installed-requirements.txt # a copy of the lock, put there last
export UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=true PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_REQUIRE_VIRTUALENV=

fail() {
    echo "bootstrap: $*" >&2
    exit 1
}

# Prints "fits", "no venv" or a version; fails where the interpreter does not run, as a version
# manager's shim without a Python behind it.
judge() {
    "$1" - 2>/dev/null <<'PYTHON'
import platform, sys
fits = platform.python_implementation() == "CPython" and (3, 11) <= sys.version_info[:2] <= (3, 13)
try:
    import ensurepip, venv
    has_venv = True
except ImportError:
    has_venv = False
name = platform.python_implementation() + " " + platform.python_version()
print(name if not fits else "fits" if has_venv else "no venv")
PYTHON
}

find_python() {
    seen=
    without_venv=
    for name in python3.13 python3.12 python3.11 python3 python; do
        rest=$PATH:
        while [ -n "$rest" ]; do
            candidate=${rest%%:*}/$name
            rest=${rest#*:}
            [ -f "$candidate" ] && [ -x "$candidate" ] || continue
            verdict=$(judge "$candidate") || continue
            case $verdict in
            fits) python=$candidate && return ;;
            "no venv") without_venv=${without_venv:-$candidate} ;;
            *) seen="$seen${seen:+, }$verdict" ;;
            esac
        done
    done
    [ -z "$without_venv" ] ||
        fail "$without_venv has no venv module; on Debian and Ubuntu: apt install python3-venv"
    fail "needs CPython 3.11, 3.12 or 3.13 on PATH (or PYTHON=/path/to/python); found ${seen:-none}"
}

if [ -f "$stamp" ] && cmp -s "$lock" "$stamp" && [ "$(judge "$venv/bin/python")" = fits ]; then
    exit 0
fi

if [ "$(judge "$venv/bin/python" || true)" != fits ]; then
    if [ -n "${PYTHON:-}" ]; then
        python=$PYTHON
        verdict=$(judge "$python") || fail "PYTHON=$python does not run"
        case $verdict in
        fits) ;;
        "no venv") fail "PYTHON=$python has no venv module; on Debian and Ubuntu: apt install python3-venv" ;;
        *) fail "PYTHON=$python is $verdict; CPython 3.11, 3.12 or 3.13 is needed" ;;
        esac
    else
        find_python
    fi
    echo "bootstrap: making $venv with $python"
    "$python" -m venv --clear "$venv"
fi
rm -f "$stamp"

# uv is in the lock too: its lines alone, so that it is checked by hash as everything else.
echo "bootstrap: installing what $lock locks"
sed -n '/^uv==/,/^[a-z#]/{/^uv==/p;/^ /p;}' "$lock" >"$venv/uv-requirement.txt"
if "$venv/bin/python" -m pip install --quiet --require-hashes -r "$venv/uv-requirement.txt" &&
    "$venv/bin/uv" pip sync --quiet --python "$venv/bin/python" --require-hashes "$lock"; then
    :
else
    echo "bootstrap: uv could not do it; going on with pip, which takes about a minute" >&2
    "$venv/bin/python" -m pip install --quiet --require-hashes -r "$lock" ||
        fail "the packages of $lock could not be installed; pip says why above"
fi
cp "$lock" "$stamp"

# Sourced by demo.sh and test.sh: makes .venv from the constraints, and installs foreign programs where that is possible.
# Usage: . deploy/setup.sh; setup_programs PACKAGE...; setup_venv [EXTRA]

cd "$(dirname "$0")/.." || exit 1

say() { printf '%s\n' "$*"; }

# Install Debian packages when this is root on a Debian with apt-get; say what is left out otherwise.
setup_programs() {
    lacking=""
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || lacking="$lacking $package"
    done
    [ -z "$lacking" ] && return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "Left out (needs apt-get and root):$lacking"
        return 0
    fi
    say "Installing:$lacking"
    # Servers that a package would start as a service would listen on every address: none may start.
    policy=""
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod +x "$policy"
    fi
    apt-get update -qq > /dev/null || true
    # shellcheck disable=SC2086  a list of package names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $lacking > /dev/null 2>&1 \
        || say "Some of these could not be installed:$lacking"
    # Not by a trap: the scripts end by exec, which runs none.
    [ -z "$policy" ] || rm -f "$policy"
}

# Make .venv and install the node and its plug-ins; does nothing when neither changed since the last time.
setup_venv() {
    extra=${1:-}
    python=$(for name in python3.11 python3.12 python3.13 python3; do
        command -v $name > /dev/null && $name -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $name && break
    done)
    [ -n "$python" ] || { say "Python 3.11 or newer is needed."; exit 1; }
    wanted=$(cat pyproject.toml plugins/*/pyproject.toml deploy/constraints.txt | cksum; pwd)
    if [ "$(cat ".venv/installed$extra" 2>/dev/null)" = "$wanted" ]; then
        return 0
    fi
    say "Installing Python packages into .venv (only the first time) ..."
    [ -x .venv/bin/python ] || $python -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check -c deploy/constraints.txt setuptools wheel
    .venv/bin/python -m pip install -q --disable-pip-version-check -c deploy/constraints.txt \
        -e ".${extra:+[$extra]}" -e plugins/identity -e plugins/mr_flair || exit 1
    printf '%s\n' "$wanted" > ".venv/installed$extra"
}

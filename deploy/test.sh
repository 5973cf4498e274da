#!/bin/sh
# Sets up all that the tests need and runs them: style, types, rooms, fast tests, then foreign peers and crashes.
# Options go to pytest, which then runs alone (sh deploy/test.sh tests/rules -q).
set -eu
. "$(dirname "$0")/setup.sh"
setup_programs postgresql dcmtk orthanc orthanc-dicomweb socat iproute2 chromium fonts-dejavu-core util-linux
setup_venv dev

bin=$PWD/.venv/bin
if [ $# -gt 0 ]; then
    exec "$bin/pytest" "$@"
fi

step() { say; say "== $*"; }
step ruff; "$bin/ruff" check; "$bin/ruff" format --check
step mypy; "$bin/mypy"
step lint-imports; "$bin/lint-imports"
step "fast tests"; "$bin/pytest" -q -n 3 -m "not peer" --durations=5
step "peers, journeys and crashes"
# Orthanc and DCMTK listen on every address: they run in a network of their own, together with the tests.
peers() { "$@" sh -c 'ip link set lo up; exec "$@"' sh "$bin/pytest" -q -m peer --durations=10; }
export DICOMNODE_TEST_NAMESPACE=1
if [ "$(id -u)" = 0 ] && unshare --net true 2> /dev/null; then
    peers unshare --net
elif unshare --map-root-user --net true 2> /dev/null; then
    peers unshare --map-root-user --net
else
    unset DICOMNODE_TEST_NAMESPACE
    "$bin/pytest" -q -m peer --durations=10
fi

#!/bin/sh
# Measures the node's reception beside DCMTK's storescp, Orthanc and pynetdicom; --help says what can be chosen.
set -eu
. "$(dirname "$0")/../setup.sh"
# The setup went to the folder above this script's, which for this script is not the root.
cd ..
setup_programs dcmtk orthanc iproute2 util-linux
setup_venv bench

# The foreign servers listen on every address: all of this runs in a network of its own.
namespace="unshare --net"
[ "$(id -u)" = 0 ] && unshare --net true 2> /dev/null || namespace="unshare --map-root-user --net"
# shellcheck disable=SC2086  words of a command
exec $namespace sh -c 'ip link set lo up; exec "$@"' sh \
    .venv/bin/python -m deploy.bench --date "$(date -u +%Y-%m-%d)" --commit "$(git describe --always --dirty)" "$@"

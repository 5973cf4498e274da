#!/bin/sh
# Sets up all that the demo needs and carries one real study through the node. Options go to `dicomnode demo` (--once).
set -eu
. "$(dirname "$0")/setup.sh"
setup_programs orthanc orthanc-dicomweb socat iproute2 dcmtk chromium
setup_venv
exec .venv/bin/dicomnode demo "$@"

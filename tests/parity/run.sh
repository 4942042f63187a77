#!/usr/bin/env bash
# make parity: hold protlm against PyTorch and transformers, live.
#
# Usage: tests/parity/run.sh [BINARY [options of live.py]]
#
# BINARY defaults to build/protlm. The Python environment is made outside the
# source tree on first use (see venv.sh); nothing else needs Python.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
. "$here/venv.sh"

binary="${1:-$here/../../build/protlm}"
[ $# -gt 0 ] && shift
exec "$python" "$here/live.py" "$binary" "$@"

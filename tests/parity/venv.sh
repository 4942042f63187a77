# Sourced by run.sh and the benchmarks: makes the Python environment that they
# share, outside the source tree, if it is not there yet. Sets $python.
#
# PROTLM_VENV   where the environment is (default: ~/.cache/protlm/venv)

venv="${PROTLM_VENV:-$HOME/.cache/protlm/venv}"
requirements="$(dirname "${BASH_SOURCE[0]}")/requirements.txt"
python="$venv/bin/python"

if ! "$python" -c 'import torch, transformers, safetensors' 2>/dev/null; then
    echo "Making the Python environment $venv (PyTorch and transformers, about 2 GB) ..." >&2
    python3 -m venv "$venv" && "$python" -m pip install --quiet -r "$requirements" || {
        echo "Could not make $venv; set PROTLM_VENV to an environment with what $requirements lists." >&2
        exit 1
    }
fi

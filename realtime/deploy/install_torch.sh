#!/bin/sh
# Install PyTorch into an environment, and say what is fetched.
#
#     sh realtime/deploy/install_torch.sh PYTHON BUILD [PIP OPTION...]
#
# PYTHON is the environment's interpreter. BUILD is cpu, cuda or auto: cuda where there is an NVIDIA driver, cpu elsewhere.
# The version is the one that pyproject.toml asks for. PyPI has no CPU build for Linux on x86-64: it comes from PyTorch's own
# index (TORCH_CPU_INDEX names a mirror of it). Where that cannot be reached, the package index's build is taken.
set -eu
python=$1 build=$2
shift 2
root=$(dirname "$0")/../..
wanted=$(sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' "$root/pyproject.toml")
index=${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}

if "$python" -c 'import importlib.metadata as m, sys; sys.exit(not m.version("torch").startswith(sys.argv[1]))' \
     "$(echo "$wanted" | sed 's/^torch==//; s/\*$//')" 2>/dev/null; then
  exit 0
fi
case $build in
  auto)
    if command -v nvidia-smi >/dev/null 2>&1 || [ -e "${NVIDIA_DRIVER:-/proc/driver/nvidia}" ]; then
      build=cuda why="there is an NVIDIA driver here"
    else
      build=cpu why="there is no NVIDIA driver here"
    fi ;;
  cpu | cuda) why="asked for" ;;
  *) echo "TORCH has to be cpu, cuda or auto, not '$build'." >&2; exit 2 ;;
esac
install() { "$python" -m pip install --disable-pip-version-check "$@"; }

if [ "$build" = cuda ]; then
  echo "Fetching PyTorch for CUDA ($why): gigabytes. TORCH=cpu takes the small build."
  install "$@" "$wanted"
  exit
fi
echo "Fetching PyTorch for the CPU ($why): some hundred megabytes. TORCH=cuda takes the build for GPUs."
if [ "$(uname -s)" != Linux ]; then
  install "$@" "$wanted"  # elsewhere the package index's build is that for the CPU
  exit
fi
if install --retries 0 --timeout 15 --no-deps --index-url "$index" "$@" "$wanted"; then
  exit
fi
echo "PyTorch's CPU builds could not be had from $index: taking the package index's build."
echo "On Linux that may be the one for CUDA, which is gigabytes."
install "$@" "$wanted"

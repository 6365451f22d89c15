#!/usr/bin/env bash
# Tries the CUDA half of libtorch on a host without a GPU: it is fetched, `colearn-trainer` loads it and reports that
# there is no device, and `colearn run` then trains on the cores and says why.
#
#   scripts/try-cuda-libtorch.sh           with `make libtorch CUDA=1`, all libraries in one folder
#   scripts/try-cuda-libtorch.sh python    with a virtual environment that has torch 2.11.0, linked from .libtorch
#
# It fetches about 2.5 GB, needs 5 to 9 GB in .try-cuda/ (removed at the end unless KEEP=1) and takes minutes; `make
# test` does not include it. The programs come from target/release, or from the folder that COLEARN_PROGRAMS names.
# They may be built with any libtorch 2.11.0. A failure ends the script with an exit code other than 0.
set -euo pipefail

way=${1:-wheels}
checkout=$(cd "$(dirname "$0")/.." && pwd)
cd "$checkout"
programs=${COLEARN_PROGRAMS:-${CARGO_TARGET_DIR:-target}/release}
programs=$(cd "$programs" 2>/dev/null && pwd) || {
  echo "try-cuda: there are no programs in $programs; run make build first" >&2
  exit 1
}
place=$checkout/.try-cuda
began=$SECONDS

say() { echo "[$((SECONDS - began)) s] $*"; }
fail() {
  echo "try-cuda: $*" >&2
  exit 1
}
expect() { grep -qF -- "$2" <<<"$1" || fail "expected '$2' in:"$'\n'"$1"; }

case "$way" in
  wheels | python) ;;
  *) fail "usage: scripts/try-cuda-libtorch.sh [wheels|python]" ;;
esac
mkdir -p "$place"
[ -n "${KEEP:-}" ] || trap 'rm -rf "$place"' EXIT
unset LIBTORCH VIRTUAL_ENV CONDA_PREFIX CUDA_VISIBLE_DEVICES COLEARN_COORDINATOR COLEARN_STATE COLEARN_DATA_DIR

if [ "$way" = python ]; then
  if [ ! -e "$place/venv/stamp" ]; then
    say "installing torch 2.11.0 with all it requires into $place/venv"
    python3 -m venv "$place/venv"
    "$place/venv/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check torch==2.11.0
    touch "$place/venv/stamp"
  fi
  export VIRTUAL_ENV=$place/venv
fi
export LIBTORCH_TARGET=$place/libtorch-$way
CUDA=1 scripts/libtorch.sh
say "$(du -shL "$LIBTORCH_TARGET" | cut -f1) in $LIBTORCH_TARGET"

# The program was linked with another libtorch; this one takes precedence.
export LD_LIBRARY_PATH=$LIBTORCH_TARGET/lib
say "what the trainer says of its devices"
devices=$("$programs/colearn-trainer" devices)
echo "$devices"
expect "$devices" 'libtorch_cuda.so","cuda_error":null'
if ! command -v nvidia-smi >/dev/null; then
  expect "$devices" '"cuda_devices":0'
fi

# A fake nvidia-smi that lists a GPU, so that the worker tries to use it.
mkdir -p "$place/bin"
cat >"$place/bin/nvidia-smi" <<'EOF'
#!/bin/sh
case $1 in
*driver_version*) echo 580.65.06 ;;
*) echo "0, NVIDIA H100, GPU-00000000-0000-0000-0000-000000000000" ;;
esac
EOF
chmod +x "$place/bin/nvidia-smi"
export PATH=$place/bin:$PATH
"$programs/colearn" data generate --out "$place/data/demo.safetensors" >/dev/null
sed -E 's/^name: .*/name: try-cuda/; s/^seeds: .*/seeds: [0]/; s/epochs: [0-9]+/epochs: 3/' sweeps/demo.yaml >"$place/sweep.yaml"
rm -rf "$place/state"
run=("$programs/colearn" run "$place/sweep.yaml" --data-dir "$place/data" --state "$place/state")

say "colearn run --device cuda"
if said=$("${run[@]}" --device cuda 2>&1); then
  fail "it ended well, on a GPU that is not there:"$'\n'"$said"
fi
echo "$said" | tail -n 2
expect "$said" 'but CUDA finds no device'

say "colearn run"
said=$("${run[@]}" 2>&1) || fail "it failed:"$'\n'"$said"
echo "$said"
expect "$said" 'but CUDA finds no device'
expect "$said" ': cpu x1'
say "libtorch's CUDA half loads, finds no device, and the sweep trains on the cores"

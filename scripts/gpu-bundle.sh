#!/usr/bin/env bash
# Collects in one folder everything that scripts/gpu-check needs on a host with a GPU: programs, data sets, sweep
# files and the check itself. `make gpu-bundle` builds the programs first.
#
#   scripts/gpu-bundle.sh TARGET PYTHON     TARGET is cargo's target folder; PYTHON has numpy and safetensors
set -euo pipefail

target=$1
python=$2
# Up to 60 MiB can be copied to such a host, and other files need a part of it.
MOST=$((40 * 1024 * 1024))
# 5157, 860 and 860 sentences of IEMOCAP become 104, 18 and 18.
DIVISOR=50

cd "$(dirname "$0")/.."
bundle=$target/gpu-bundle
rm -rf "$bundle"
mkdir -p "$bundle"/{bin,data,scripts,benches}
cp "$target"/release/{colearn,colearn-worker,colearn-trainer} "$target"/release/examples/libgpu_probe.so "$bundle/bin/"
cp -r sweeps "$bundle/"
cp scripts/gpu-check "$bundle/scripts/"
mkdir "$bundle/scripts/gpu_check"
cp scripts/gpu_check/*.py "$bundle/scripts/gpu_check/"
cp trainer/benches/{pytorch_networks,subjects}.py "$bundle/benches/"
"$target"/release/colearn data generate --out "$bundle/data/demo.safetensors" >/dev/null
"$python" datasets/generate_paper_shapes.py --kind iemocap --divisor "$DIVISOR" \
  --out "$bundle/data/iemocap-shapes.safetensors" >/dev/null
{ git describe --always --dirty 2>/dev/null || echo unknown; } >"$bundle/revision"

(cd "$bundle" && find . -type f -size +99k -exec du -b {} + | sort -nr | awk '{ printf "%9.1f MiB  %s\n", $1 / 1048576, $2 }')
size=$(find "$bundle" -type f -exec du -b {} + | awk '{ sum += $1 } END { print sum }')
echo "gpu-bundle: $bundle has $(awk "BEGIN { printf \"%.1f\", $size / 1048576 }") MiB"
# The bundle uses the C library of the host.
if command -v objdump >/dev/null; then
  glibc=$(objdump -T "$bundle"/bin/* | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -1)
  echo "gpu-bundle: its programs need ${glibc/_/ } or later, and libtorch 2.11.0"
fi
if [ "$size" -gt "$MOST" ]; then
  echo "gpu-bundle: that is more than $((MOST / 1048576)) MiB; raise DIVISOR in scripts/gpu-bundle.sh" >&2
  exit 1
fi
echo "gpu-bundle: copy the folder to the host and run scripts/gpu-check in it"

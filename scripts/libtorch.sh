#!/usr/bin/env bash
# Fetches libtorch 2.11.0 (the CPU libraries) into .libtorch/, once.
#
# The PyPI wheel of torch carries the C++ libraries and headers. One wheel is pinned for every
# machine of a kind, whatever Python runs pip, so that its digest is the same for everybody; the two CUDA
# packages are there because libtorch_cpu.so of that wheel links libcudart and libcupti.
# With LIBTORCH set in the environment nothing is fetched: that libtorch is used.
set -euo pipefail

TORCH=2.11.0
target=$(cd "$(dirname "$0")/.." && pwd)/.libtorch
stamp="torch $TORCH, layout 1"

if [ -n "${LIBTORCH:-}" ] && [ "$(readlink -m "$LIBTORCH")" != "$(readlink -m "$target")" ]; then
  if [ ! -e "$LIBTORCH/lib/libtorch_cpu.so" ] && [ ! -e "$LIBTORCH/lib/libtorch_cpu.dylib" ]; then
    echo "libtorch: LIBTORCH is set to '$LIBTORCH', but there is no lib/libtorch_cpu in it; unset LIBTORCH to have it fetched, or point it at a libtorch $TORCH" >&2
    exit 1
  fi
  echo "libtorch: using LIBTORCH=$LIBTORCH"
  exit 0
fi
if [ "$(cat "$target/stamp" 2>/dev/null || true)" = "$stamp" ]; then
  exit 0
fi
if ! python3 -m pip --version >/dev/null 2>&1; then
  echo "libtorch: python3 with pip is needed to fetch libtorch: sudo apt-get install python3-pip python3-venv" >&2
  exit 1
fi

# package, the pip platform tags to ask for, and the sha256 of the one wheel we accept
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64)
    wheels="torch==$TORCH manylinux_2_28_x86_64 0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756
nvidia-cuda-runtime==13.0.96 manylinux2014_x86_64 7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cupti==13.0.85 manylinux_2_25_x86_64 4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"
    ;;
  Darwin-arm64)
    # No digest yet: nobody of us has run it on this platform.
    wheels="torch==$TORCH macosx_11_0_arm64 unchecked"
    ;;
  *)
    echo "libtorch: no pinned wheel for $(uname -s) $(uname -m); unpack libtorch $TORCH yourself and set LIBTORCH to its folder" >&2
    exit 1
    ;;
esac

sha256() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }

work=$target.partial
rm -rf "$work" "$target"
mkdir -p "$work/wheels"
trap 'rm -rf "$work"' EXIT
while read -r requirement platform digest; do
  echo "libtorch: fetching $requirement"
  if ! python3 -m pip download --quiet --no-deps --dest "$work/wheels" --only-binary=:all: \
      --platform "$platform" --python-version 3.12 "$requirement"; then
    echo "libtorch: pip could not fetch $requirement; check the network, or set LIBTORCH to a libtorch $TORCH you have" >&2
    exit 1
  fi
  name=${requirement%%==*}
  wheel=$(ls "$work/wheels/${name//-/_}"-*.whl)
  found=$(sha256 "$wheel")
  if [ "$digest" != unchecked ] && [ "$digest" != "$found" ]; then
    echo "libtorch: $(basename "$wheel") has sha256 $found, expected $digest; refusing to use it" >&2
    exit 1
  fi
  python3 - "$wheel" "$work" <<'PY'
import os, shutil, sys, zipfile
wheel, out = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        parts = name.split("/")
        base = parts[-1]
        if not base or ".." in parts:
            continue
        if parts[0] == "torch" and parts[1] in ("lib", "include"):
            # The GPU half is 1 GB that a CPU build does not need; the Python half is no use to us.
            if base.startswith(("libtorch_cuda", "libtorch_python", "libtorch_nvshmem", "libc10_cuda")):
                continue
            target = os.path.join(out, *parts[1:])
        elif parts[0] == "nvidia" and "lib" in parts and ".so" in base:
            target = os.path.join(out, "lib", base)
        else:
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with archive.open(name) as source, open(target, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
PY
  rm "$wheel"
done <<<"$wheels"
rmdir "$work/wheels"
printf '%s\n' "$TORCH" >"$work/build-version"
printf '%s\n' "$stamp" >"$work/stamp"
mv "$work" "$target"
trap - EXIT
echo "libtorch: $TORCH is in $target ($(du -sh "$target" | cut -f1))"

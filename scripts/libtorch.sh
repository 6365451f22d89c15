#!/usr/bin/env bash
# Sets up libtorch 2.11.0 in .libtorch/, once: its CPU half, and its CUDA half where there is a GPU.
#
#   scripts/libtorch.sh            the CUDA half if nvidia-smi lists a GPU
#   CUDA=1 scripts/libtorch.sh     the CUDA half in any case; CUDA=0: never
#
# The first of these that is there is used:
#   - with LIBTORCH in the environment, the libtorch in that folder, and .libtorch stays as it is;
#   - what an earlier call left in .libtorch; a CUDA half that is wanted and missing is added, and one that CUDA=1 asks for
#     and that does not load is replaced;
#   - the torch 2.11.0 of a Python (the active virtual or conda environment, then python3): .libtorch links to it;
#   - wheels from PyPI, which carry the C++ libraries and headers. Their versions and digests are in libtorch-wheels.txt,
#     so that everybody has the same libraries, whatever Python runs pip.
# In .libtorch/lib all libraries lie side by side: each of them looks for the others in its own folder ($ORIGIN).
set -euo pipefail

TORCH=2.11.0
scripts=$(cd "$(dirname "$0")" && pwd)
target=${LIBTORCH_TARGET:-$(dirname "$scripts")/.libtorch}
fetched="torch $TORCH, layout 1"

say() { echo "libtorch: $*"; }
fail() {
  echo "libtorch: $*" >&2
  exit 1
}
has_cpu() { [ -e "$1/lib/libtorch_cpu.so" ] || [ -e "$1/lib/libtorch_cpu.dylib" ]; }
has_cuda() { [ -e "$1/lib/libtorch_cuda.so" ]; }
within_20_seconds() { if command -v timeout >/dev/null; then timeout 20 "$@"; else "$@"; fi; }
gpus() { within_20_seconds nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null; }

# Which half is wanted, and whether the user said so.
asked=${CUDA:-}
case "$asked" in
  1) cuda=yes ;;
  0) cuda=no ;;
  *) # Unset, or the path of somebody's CUDA toolkit.
    asked=
    cuda=no
    if gpu=$(gpus) && [ -n "$gpu" ]; then
      cuda=yes
    fi
    ;;
esac

# The version of the libtorch in a folder, without what follows a plus sign; nothing if it does not say.
version_of() {
  local version=
  if [ -r "$1/version.py" ]; then
    version=$(sed -n "s/^__version__ = ['\"]\([^'\"]*\)['\"].*/\1/p" "$1/version.py" | head -n 1)
  elif [ -r "$1/build-version" ]; then
    version=$(head -n 1 "$1/build-version")
  fi
  echo "${version%%+*}"
}

# Prints why the CUDA half in a folder does not load; nothing if it does.
cuda_trouble() {
  python3 - "$1/lib/libtorch_cuda.so" <<'PY' || echo 'python3 ended abnormally while it loaded the library'
import ctypes, sys
try:
    ctypes.CDLL(sys.argv[1])
except OSError as error:
    print(error)
PY
}

use_given_folder() {
  has_cpu "$LIBTORCH" || fail "LIBTORCH is set to '$LIBTORCH', but there is no lib/libtorch_cpu in it;" \
    "unset LIBTORCH to have it fetched, or point it at a libtorch $TORCH"
  local version
  version=$(version_of "$LIBTORCH")
  if [ -n "$version" ] && [ "$version" != "$TORCH" ] && [ -z "${LIBTORCH_BYPASS_VERSION_CHECK:-}" ]; then
    fail "LIBTORCH is set to '$LIBTORCH', which is version $version; $TORCH is needed: unset LIBTORCH to have it fetched"
  fi
  if [ "$cuda" = yes ] && ! has_cuda "$LIBTORCH"; then
    local lacks="LIBTORCH is set to '$LIBTORCH', which has no lib/libtorch_cuda.so"
    [ -z "$asked" ] || fail "$lacks; unset LIBTORCH to have CUDA fetched, or point it at a libtorch $TORCH with CUDA"
    say "warning: $lacks: this host's GPU will not be used; unset LIBTORCH and run make libtorch CUDA=1" >&2
  fi
  say "using LIBTORCH=$LIBTORCH"
}

# What is in .libtorch: none, cpu, linked (to a Python's torch without CUDA) or cuda.
state() {
  local stamp
  stamp=$(cat "$target/stamp" 2>/dev/null || true)
  case "$stamp" in
    "$fetched") has_cpu "$target" && echo cpu && return ;;
    "$fetched, cuda") has_cpu "$target" && has_cuda "$target" && echo cuda && return ;;
    "torch $TORCH, linked to "*)
      # That Python may have gone, or have another torch by now.
      if has_cpu "$target" && [ "$(version_of "${stamp#*, linked to }")" = "$TORCH" ]; then
        if has_cuda "$target"; then echo cuda; else echo linked; fi
        return
      fi
      ;;
  esac
  echo none
}

# Finds a Python that has the right torch: sets `python` and `folder`, or fails.
find_python() {
  local trouble
  for python in "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" "${CONDA_PREFIX:+$CONDA_PREFIX/bin/python}" python3; do
    [ -n "$python" ] || continue
    folder=$("$python" -c '
import importlib.util
spec = importlib.util.find_spec("torch")
print(spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else "")' 2>/dev/null) || continue
    if [ -z "$folder" ] || ! has_cpu "$folder" || [ ! -d "$folder/include/torch/csrc/api/include" ]; then
      continue
    fi
    if [ "$(version_of "$folder")" != "$TORCH" ]; then
      say "not using the torch of $python: it is version $(version_of "$folder"), not $TORCH"
      continue
    fi
    if [ "$cuda" = yes ]; then
      if ! has_cuda "$folder"; then
        say "not using the torch $TORCH of $python: it is one without CUDA"
        continue
      fi
      trouble=$(cuda_trouble "$folder")
      if [ -n "$trouble" ]; then
        say "not using the torch $TORCH of $python: its CUDA half does not load: $trouble"
        continue
      fi
    fi
    return 0
  done
  return 1
}

sha256() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }

# Unpacks from a wheel what is wanted: $1 wheel, $2 folder, $3 halves, such as `cpu|cuda`.
unpack() {
  python3 - "$@" <<'PY'
import os, shutil, sys, zipfile
wheel, out, halves = sys.argv[1:]
halves = halves.split("|")
CUDA = ("libtorch_cuda", "libtorch_nvshmem", "libc10_cuda")
# Python's half, other interfaces to what is there, and plugins for several hosts.
UNUSED = ("libtorch_python", "libcufftw", "libcusolverMg", "libnvblas", "nvshmem_")
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        parts = name.split("/")
        base = parts[-1]
        if not base or ".." in parts or base.startswith(UNUSED) or ".alt.so" in base:
            continue
        if parts[0] == "torch" and parts[1] in ("lib", "include"):
            if ("cuda" if base.startswith(CUDA) else "cpu") not in halves:
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
}

# The pinned wheels of the halves that `$1` names, such as `cpu|cuda`, as libtorch-wheels.txt has them.
wheels() {
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) grep -E "^($1) " "$scripts/libtorch-wheels.txt" ;;
    Darwin-arm64)
      # No digest yet: nobody of us has run it on this platform.
      [ "$1" = cpu ] && echo "cpu torch==$TORCH macosx_11_0_arm64 100000000 300000000 unchecked"
      ;;
    *) return 1 ;;
  esac
}

# Fetches what leads from state `$1` to what is wanted.
fetch() {
  local halves list
  case "$1-$cuda" in
    *-no) halves=cpu ;;
    cpu-yes) halves=cuda ;;
    *) halves='cpu|cuda' ;;
  esac
  list=$(wheels "$halves") || fail "no pinned wheel for $(uname -s) $(uname -m)$([ "$cuda" = no ] || echo ' with CUDA');" \
    "unpack libtorch $TORCH yourself and set LIBTORCH to its folder"
  python3 -c "import pip" 2>/dev/null ||
    fail "python3 with pip is needed to fetch libtorch: sudo apt-get install python3-pip python3-venv"
  local unpacked megabytes needed free
  unpacked=$(awk '{ bytes += $5 } END { printf "%d", bytes / 1e6 }' <<<"$list")
  # The wheel of torch is in both halves, and is fetched once. A wheel lies beside what is unpacked.
  needed=$(awk '{ bytes += $5; if ($4 > most) most = $4 } END { printf "%d", (bytes + most) / 1e6 }' <<<"$list")
  list=$(awk '!seen[$2]++' <<<"$list")
  megabytes=$(awk '{ bytes += $4 } END { printf "%d", bytes / 1e6 }' <<<"$list")
  say "fetching $megabytes MB ($(awk 'END { print NR }' <<<"$list") wheels) from PyPI, $unpacked MB when unpacked into $target"
  mkdir -p "$(dirname "$target")"
  free=$(df -Pk "$(dirname "$target")" | awk 'NR == 2 { printf "%d", $4 * 1024 / 1e6 }')
  [ "$free" -ge "$needed" ] ||
    fail "$needed MB are needed and $free MB are free in $(dirname "$target"); make room and run this again"

  local work=$target.partial
  rm -rf "$work"
  mkdir -p "$work/wheels" "$work/lib"
  trap "rm -rf '$work'" EXIT
  local requirement platform size digest name wheel found
  while read -r _ requirement platform size _ digest; do
    say "fetching $requirement ($((size / 1000000)) MB)"
    python3 -m pip download --quiet --no-deps --no-cache-dir --disable-pip-version-check --dest "$work/wheels" \
      --only-binary=:all: --platform "$platform" --python-version 3.12 "$requirement" ||
      fail "pip could not fetch $requirement; check the network, or set LIBTORCH to a libtorch $TORCH you have"
    name=${requirement%%==*}
    wheel=$(ls "$work/wheels/${name//-/_}"-*.whl)
    found=$(sha256 "$wheel")
    if [ "$digest" != unchecked ] && [ "$digest" != "$found" ]; then
      fail "$(basename "$wheel") has sha256 $found, expected $digest; refusing to use it"
    fi
    unpack "$wheel" "$work" "$halves"
    rm "$wheel"
  done <<<"$list"
  rmdir "$work/wheels"

  local trouble=
  if [ "$cuda" = yes ]; then
    # What is added lies beside what is there, as far as loading goes.
    trouble=$(LD_LIBRARY_PATH="$target/lib" cuda_trouble "$work")
    [ -z "$trouble" ] || fail "the CUDA half that was fetched does not load: $trouble"
  fi
  if [ "$halves" = cuda ]; then
    # The library that says "CUDA is here" comes last, so that an interrupted call leaves a whole CPU half.
    local library
    for library in "$work"/lib/*; do
      [ "$(basename "$library")" = libtorch_cuda.so ] || mv -f "$library" "$target/lib/"
    done
    mv "$work/lib/libtorch_cuda.so" "$target/lib/"
    echo "$fetched, cuda" >"$target/stamp"
    rm -rf "$work"
  else
    echo "$TORCH" >"$work/build-version"
    echo "$fetched$([ "$halves" = cpu ] || echo ', cuda')" >"$work/stamp"
    rm -rf "$target"
    mv "$work" "$target"
  fi
  trap - EXIT
  say "$TORCH $([ "$cuda" = no ] || echo 'with CUDA ')is in $target ($(du -sh "$target" | cut -f1))"
}

if [ -n "${LIBTORCH:-}" ] && [ "$(readlink -m "$LIBTORCH")" != "$(readlink -m "$target")" ]; then
  use_given_folder
  exit 0
fi
have=$(state)
if [ "$have-$asked" = cuda-1 ]; then
  # Whoever is told to run this by a worker that can not load it is not told that all is well.
  trouble=$(cuda_trouble "$target")
  if [ -n "$trouble" ]; then
    say "the CUDA half in $target does not load, setting it up anew: $trouble"
    have=none
  fi
fi
if [ "$have" = cuda ] || { [ "$have" != none ] && [ "$cuda" = no ]; }; then
  exit 0
fi
if [ "$cuda" = yes ] && [ -z "$asked" ]; then
  say "this host has a GPU (${gpu%%$'\n'*}): setting up libtorch with CUDA; CUDA=0 leaves it out"
  if [ "$have" != none ]; then
    # Nobody asked for it: what worked without the CUDA half goes on to work.
    CUDA=1 bash "$0" || say "warning: this host's GPU will not be used: libtorch's CUDA half could not be set up;" \
      "make libtorch CUDA=1 tries again, CUDA=0 leaves it out" >&2
    exit 0
  fi
fi
if find_python; then
  rm -rf "$target"
  mkdir -p "$target"
  ln -s "$folder/lib" "$folder/include" "$target/"
  echo "$TORCH" >"$target/build-version"
  echo "torch $TORCH, linked to $folder" >"$target/stamp"
  say "$TORCH $(has_cuda "$target" && echo with || echo without) CUDA is that of $python, in $folder"
else
  fetch "$have"
fi

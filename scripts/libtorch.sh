#!/usr/bin/env bash
# Sets up libtorch 2.11.0 in .libtorch/, once: the CPU half, and also the CUDA half if the host has a GPU.
#
#   scripts/libtorch.sh            the CUDA half if nvidia-smi lists a GPU
#   CUDA=1 scripts/libtorch.sh     the CUDA half in any case; CUDA=0: never
#
# The first available source is used:
#   - LIBTORCH in the environment: the libtorch in that folder; .libtorch is not changed;
#   - the files of an earlier call in .libtorch; a missing CUDA half is added if wanted, and one that does not load is
#     replaced if CUDA=1 asks for it;
#   - the torch 2.11.0 of a Python (the active virtual or conda environment, then python3): .libtorch links to it;
#   - wheels from PyPI, which contain the C++ libraries and headers. libtorch-wheels.txt pins their versions and
#     digests, so that every checkout has the same libraries, with any Python that runs pip.
# In .libtorch/lib all libraries are in one folder, because each library looks for the others in its own folder
# ($ORIGIN).
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

# The wanted half, and whether the user asked for it.
asked=${CUDA:-}
case "$asked" in
  1) cuda=yes ;;
  0) cuda=no ;;
  *) # Unset, or the path of a CUDA toolkit.
    asked=
    cuda=no
    if gpu=$(gpus) && [ -n "$gpu" ]; then
      cuda=yes
    fi
    ;;
esac

# The version of the libtorch in a folder, without the text after a plus sign; empty if unknown.
version_of() {
  local version=
  if [ -r "$1/version.py" ]; then
    version=$(sed -n "s/^__version__ = ['\"]\([^'\"]*\)['\"].*/\1/p" "$1/version.py" | head -n 1)
  elif [ -r "$1/build-version" ]; then
    version=$(head -n 1 "$1/build-version")
  fi
  echo "${version%%+*}"
}

# Prints why the CUDA half in a folder does not load; prints nothing if it loads.
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

# The state of .libtorch: none, cpu, linked (to a Python's torch without CUDA) or cuda.
state() {
  local stamp
  stamp=$(cat "$target/stamp" 2>/dev/null || true)
  case "$stamp" in
    "$fetched") has_cpu "$target" && echo cpu && return ;;
    "$fetched, cuda") has_cpu "$target" && has_cuda "$target" && echo cuda && return ;;
    "torch $TORCH, linked to "*)
      # That Python may have been removed, or may have another torch now.
      if has_cpu "$target" && [ "$(version_of "${stamp#*, linked to }")" = "$TORCH" ]; then
        if has_cuda "$target"; then echo cuda; else echo linked; fi
        return
      fi
      ;;
  esac
  echo none
}

# Finds a Python with the right torch: sets `python` and `folder`, or fails.
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

# Unpacks the wanted files of a wheel: $1 wheel, $2 folder, $3 halves, such as `cpu|cuda`.
unpack() {
  python3 - "$@" <<'PY'
import os, shutil, sys, zipfile
wheel, out, halves = sys.argv[1:]
halves = halves.split("|")
CUDA = ("libtorch_cuda", "libtorch_nvshmem", "libc10_cuda")
# Not needed: Python's half, other interfaces to the same libraries, and plugins for several hosts.
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

# The pinned wheels of the halves in `$1`, such as `cpu|cuda`, from libtorch-wheels.txt.
wheels() {
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) grep -E "^($1) " "$scripts/libtorch-wheels.txt" ;;
    Darwin-arm64)
      # There is no digest yet: this platform was never tested.
      [ "$1" = cpu ] && echo "cpu torch==$TORCH macosx_11_0_arm64 100000000 300000000 unchecked"
      ;;
    *) return 1 ;;
  esac
}

# Fetches the files that are missing in state `$1`.
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
  # Both halves need the wheel of torch; it is fetched once. The wheel and its unpacked files need space at the same
  # time.
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
    # The loader finds the new files and the existing ones as if they were in one folder.
    trouble=$(LD_LIBRARY_PATH="$target/lib" cuda_trouble "$work")
    [ -z "$trouble" ] || fail "the CUDA half that was fetched does not load: $trouble"
  fi
  if [ "$halves" = cuda ]; then
    # The library that marks CUDA as present is moved last, so that an interrupted call leaves a complete CPU half.
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
  # A worker that cannot load CUDA tells its user to run this script, so the script must not report success then.
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
    # The user did not ask for CUDA: setups that worked without it must continue to work.
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

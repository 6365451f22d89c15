#!/usr/bin/env bash
# Names every tool that is missing on this machine, with the command that installs it; with `SPACE_MB`, also says if the
# disk has no room for a build from nothing, which fails with words of the linker. `TARGET` is the folder of the build.
set -u
missing=0
need() {
  echo "missing: $1; install it with: $2" >&2
  missing=1
}

if [ "$(uname -s)" = Darwin ]; then
  compiler="xcode-select --install"
  python="brew install python3"
else
  compiler="sudo apt-get install g++"
  python="sudo apt-get install python3 python3-pip python3-venv"
fi

if ! command -v cargo >/dev/null; then
  need "cargo (Rust)" "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
else
  minor=$(cargo --version | sed -E 's/^cargo [0-9]+\.([0-9]+)\..*/\1/')
  if [ "$minor" -lt 95 ] 2>/dev/null; then
    need "Rust 1.95 or later (this is $(cargo --version))" "rustup update stable"
  fi
fi
command -v c++ >/dev/null || command -v g++ >/dev/null || need "a C++ compiler" "$compiler"
if ! command -v python3 >/dev/null; then
  need "python3" "$python"
else
  python3 -c 'import venv, ensurepip' 2>/dev/null || need "python3's venv" "$python"
  python3 -m pip --version >/dev/null 2>&1 || need "python3's pip" "$python"
fi

# What is built already needs no room again.
if [ -n "${SPACE_MB:-}" ]; then
  disk=${TARGET:-target}
  built=$(du -sm "$disk" 2>/dev/null | cut -f1)
  until [ -d "$disk" ]; do disk=$(dirname "$disk"); done
  free=$(df -Pm "$disk" | awk 'NR == 2 {print $4}')
  if [ "$((free + ${built:-0}))" -lt "$SPACE_MB" ]; then
    echo "too little room: a build takes $SPACE_MB MB, and the disk of $(cd "$disk" && pwd) has $free MB free; make room," \
      "or set CARGO_TARGET_DIR to a folder on another disk (SPACE_MB=0 tries it anyway)" >&2
    missing=1
  fi
fi
exit $missing

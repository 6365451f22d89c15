#!/usr/bin/env bash
# Fetches uPlot, which draws the charts of the dashboard, into .uplot/, once: 50 kB that are built into the programs.
# With COLEARN_UPLOT in the environment nothing is fetched: the build takes the files in that folder.
set -euo pipefail

VERSION=1.6.32
SHA512=KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==
FILES=(dist/uPlot.iife.min.js dist/uPlot.min.css LICENSE)
target=${UPLOT_TARGET:-$(cd "$(dirname "$0")/.." && pwd)/.uplot}

fail() {
  echo "uplot: $*" >&2
  exit 1
}

if [ -n "${COLEARN_UPLOT:-}" ]; then
  for file in "${FILES[@]}"; do
    [ -r "$COLEARN_UPLOT/$(basename "$file")" ] ||
      fail "COLEARN_UPLOT is set to '$COLEARN_UPLOT', where $(basename "$file") is missing; unset it to have uPlot fetched"
  done
  exit 0
fi
[ "$(cat "$target/stamp" 2>/dev/null)" != "$VERSION" ] || exit 0

url=https://registry.npmjs.org/uplot/-/uplot-$VERSION.tgz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# python3 is needed anyway (scripts/check-tools.sh), curl is not; it checks the digest too.
python3 - "$url" "$work/uplot.tgz" "$SHA512" <<'PY' || exit 1
import base64, hashlib, sys, time, urllib.request
url, path, expected = sys.argv[1:]
for attempt in range(3):
    try:
        data = urllib.request.urlopen(url, timeout=60).read()
        break
    except OSError as error:
        if attempt == 2:
            sys.exit(f"uplot: {url} cannot be fetched: {error}; check the network, or set COLEARN_UPLOT to a folder with the files")
        time.sleep(2)
found = base64.b64encode(hashlib.sha512(data).digest()).decode()
if found != expected:
    sys.exit(f"uplot: the archive has sha512 {found}, expected {expected}; refusing to use it")
with open(path, "wb") as file:
    file.write(data)
PY
rm -rf "$target.partial"
mkdir -p "$target.partial"
tar -xzf "$work/uplot.tgz" -C "$work"
for file in "${FILES[@]}"; do cp "$work/package/$file" "$target.partial/"; done
echo "$VERSION" >"$target.partial/stamp"
rm -rf "$target"
mv "$target.partial" "$target"
echo "uplot: $VERSION is in $target"

#!/usr/bin/env bash
# Records the store and the messages of the version that is checked out, for tests of later versions: run this before a
# release. A version that was recorded stays as it was.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
folder=coordinator/tests/recorded/$version
if [ -e "$folder" ]; then
  echo "record-version: $folder exists: remove it first, if $version was not released yet" >&2
  exit 1
fi
COLEARN_RECORD=$PWD/$folder cargo test --locked --quiet -p colearn-coordinator --test recorded -- --exact records_this_version
ls -l "$folder"

#!/usr/bin/env bash
# Records the store and the messages of the version that is checked out, for tests of later versions: run this before a
# release, and whenever something was added to messages or stores that others use before it. Recordings stay as they are;
# one beside them takes a name of its own: scripts/record-version.sh 0.1.0-pools
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)}
folder=coordinator/tests/recorded/$version
if [ -e "$folder" ]; then
  echo "record-version: $folder exists and stays: name another, such as scripts/record-version.sh $version-more" >&2
  exit 1
fi
COLEARN_RECORD=$PWD/$folder cargo test --locked --quiet -p colearn-coordinator --test coordinator -- --exact recorded::records_this_version
ls -l "$folder"

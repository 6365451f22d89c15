#!/usr/bin/env bash
# Checks the licences, bans and sources of all dependencies, and advisories if their database can be reached. Without
# cargo-deny nothing is checked, and a line says so; `.ci/run` installs cargo-deny if the database can be reached.
set -euo pipefail

if ! command -v cargo-deny >/dev/null; then
  echo 'lint: cargo-deny is not installed, dependencies are not checked (cargo install cargo-deny --locked)'
  exit 0
fi
cargo deny --all-features check bans licenses sources
if "$(dirname "$0")/reaches-advisories.sh"; then
  cargo deny --all-features check advisories
else
  echo 'lint: the database of advisories cannot be reached, advisories are not checked'
fi

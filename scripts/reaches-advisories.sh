#!/usr/bin/env bash
# Succeeds if the database of advisories that cargo-deny reads can be reached.
GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote --quiet https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1

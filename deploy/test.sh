#!/usr/bin/env bash
# Installs what is missing, builds, runs all tests. The one command that says whether the project works.
set -euo pipefail
cd "$(dirname "$0")/.."
deploy/install.sh --test
deploy/build.sh -DSCALELAW_TESTS=ON
ctest --preset release --timeout 600 "$@"

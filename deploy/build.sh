#!/usr/bin/env bash
# Configures and builds everything with the release preset, into build/release/bin.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset release "$@"
cmake --build --preset release

#!/usr/bin/env bash
# Configures and builds everything with the release preset, into build/release/bin. Arguments go to cmake.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset release "$@"
cmake --build --preset release

#!/usr/bin/env bash
# Builds a test program under sanitizers, in a build of its own, and runs it.
#
#   deploy/sanitize.sh tsan server_tests [FILTER]    thread sanitizer
#   deploy/sanitize.sh asan worker_tests [FILTER]    address and undefined-behaviour sanitizers
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,5p' "$0" | cut -c3- >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p build
cmake --preset "$1" -DSCALELAW_TRAINER=OFF -DSCALELAW_DASHBOARD=OFF >"build/$1-configure.log" 2>&1 ||
  { cat "build/$1-configure.log" >&2; exit 1; }
cmake --build "build/$1" --target "$2"
"build/$1/bin/$2" --gtest_brief=1 "--gtest_filter=${3:-*}"

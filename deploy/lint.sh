#!/usr/bin/env bash
# clang-format and clang-tidy over our own code: silent where all is well. Needs Debian's clang-format and clang-tidy.
# Not part of the tests: it takes longer than a build.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files '*.h' '*.cc' | xargs clang-format --dry-run -Werror
# Without the trainer: clang 14 cannot read Debian's libtorch headers as C++20.
cmake --preset release -B build/lint -DSCALELAW_TRAINER=OFF -DSCALELAW_DASHBOARD=OFF >/dev/null
cmake --build build/lint --target scalelaw_proto scalelaw_server >/dev/null # for what they generate
run-clang-tidy -quiet -p build/lint "$PWD/(analysis|proto|server|worker|cli)/.*\.cc$" >build/lint/tidy.txt 2>/dev/null || {
  cat build/lint/tidy.txt
  exit 1
}

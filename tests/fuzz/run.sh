#!/usr/bin/env bash
# Builds the fuzzers with Clang and the sanitizers, and runs each from its seeds for a while.
#
#   tests/fuzz/run.sh [SECONDS]     for each of them (default: 5)
#
# The same inputs come first each time; FUZZ_SEED=$RANDOM looks elsewhere. What is found along the way is kept in
# build/fuzz/corpus; an input that breaks something is printed and kept.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-5}
mkdir -p build
cmake --preset fuzz >build/fuzz-configure.log 2>&1 || { cat build/fuzz-configure.log >&2; exit 1; }
cmake --build build/fuzz --target fuzz
root=$PWD
for seeds in tests/fuzz/seeds/*; do
  name=$(basename "$seeds")
  mkdir -p "build/fuzz/corpus/$name"
  log=build/fuzz/$name.log
  dictionary=()
  [ -f "tests/fuzz/$name.dict" ] && dictionary=("-dict=$root/tests/fuzz/$name.dict")
  "build/fuzz/bin/fuzz_$name" -max_total_time="$seconds" -seed="${FUZZ_SEED:-1}" -timeout=10 \
    -rss_limit_mb=2048 -max_len=4096 -verbosity=0 -print_final_stats=1 "${dictionary[@]}" \
    -artifact_prefix="$root/build/fuzz/$name-" "$root/build/fuzz/corpus/$name" "$root/$seeds" >"$log" 2>&1 || { tail -n 60 "$log"; exit 1; }
  echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
done

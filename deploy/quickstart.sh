#!/usr/bin/env bash
# From a bare Debian 12 to a verified prediction: installs what is missing, builds, then runs the main job.
#
#   deploy/quickstart.sh [--data DIR] [--seed N] [--slots N] [--listen HOST:PORT]
#
#   --data DIR   where metrics, checkpoints and plots go            (default: scalelaw-data)
#   --seed N     added to every seed of the sweeps: another repeat  (default: 0)
#   --slots N    runs at the same time                              (default: one per CPU core)
#   --listen A   address of the server                              (default: 127.0.0.1:7070)
#
# The main job trains small diffusion and VAR models, fits laws to them, predicts models that are larger than all of
# these, trains those, and holds the predictions against the measurements. Interrupted, it goes on where it stopped.
set -euo pipefail
data=scalelaw-data seed=0 slots=$(nproc) listen=127.0.0.1:7070
while [ $# -gt 0 ]; do
  case $1 in
    --data) data=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --slots) slots=$2; shift 2 ;;
    --listen) listen=$2; shift 2 ;;
    *) sed -n '2,13p' "$0" | cut -c3-; [ "$1" = --help ] && exit 0 || exit 2 ;;
  esac
done
mkdir -p "$data"
data=$(cd "$data" && pwd)
cd "$(dirname "$0")/.."

deploy/install.sh
deploy/build.sh -DSCALELAW_TESTS=OFF

PATH=$PWD/build/release/bin:$PATH
target=1.64e12 # FLOPs, the budget in examples/first-law-target.yaml
step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

started=$SECONDS
step "Starting a server and a worker with $slots slots; everything is kept in $data"
rm -f "$data/server.addr"
scalelaw up --data "$data" --listen "$listen" --slots "$slots" >"$data/up.log" 2>&1 &
up=$!
trap 'kill $up 2>/dev/null && wait $up' EXIT
until [ -s "$data/server.addr" ]; do
  kill -0 $up 2>/dev/null || { cat "$data/up.log" >&2; exit 1; }
  sleep 0.1
done
SCALELAW_SERVER=$(cat "$data/server.addr")
export SCALELAW_SERVER
echo "In a browser: http://$(cat "$data/http.addr")"
echo "In another terminal: export SCALELAW_SERVER=$SCALELAW_SERVER; build/release/bin/scalelaw watch first-law"

step "1. Training the small models (scorer and tokenizer first)"
scalelaw submit examples/first-law.yaml --add-seed "$seed" --wait

step "2. Fitting the laws, and predicting models that nobody has trained yet"
predict() {
  local study=$1 metric=$2
  shift 2
  echo
  scalelaw fit "$study" --metric "$metric" --x flops "$@"
  scalelaw predict "$study" --metric "$metric" --flops "$target"
}
predict diffusion val_loss
predict diffusion alignment
# Below 6e9 FLOPs these models know little more than how often each token occurs: the law begins after that plateau.
predict var loss_last --min-flops 6e9
predict var alignment

step "3. Training those larger models"
scalelaw submit examples/first-law-target.yaml --add-seed "$seed" --wait

step "4. Prediction and measurement"
for study in diffusion var; do
  scalelaw verify $study
  scalelaw plot $study --out "$data/plots/$study"
done
printf '\nDone in %d min %02d s. Metrics: %s  Plots: %s\n' $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60)) \
  "$data/scalelaw.db" "$data/plots"

#!/usr/bin/env bash
# What only a GPU can show: training speed and utilisation of models above 100 million parameters beside PyTorch eager, and
# a scaling study over three decades of compute.
#
#   bench/trainer/gpu.sh PYTHON DATA    PYTHON has PyTorch with CUDA, whose libtorch the trainer is built with; DATA is a
#                                       folder for the study
set -euo pipefail
[ $# = 2 ] || { sed -n '5,6s/^# *//p' "$0" >&2; exit 2; }
python=$1 data=$2
cd "$(dirname "$0")/../.."

prefix=$("$python" -c 'import torch; assert torch.cuda.is_available(); print(torch.utils.cmake_prefix_path)')
cmake --preset release -B build/gpu -DCMAKE_PREFIX_PATH="$prefix" -DSCALELAW_TESTS=OFF
cmake --build build/gpu
export PATH=$PWD/build/gpu/bin:$PATH

compare=(bench/trainer/compare.py --device cuda --python "$python" --train build/gpu/bin/scalelaw-train --batch 256)
"${compare[@]}" --size 1024,12
"${compare[@]}" --size 16,64 --family var

export SCALELAW_SERVER=127.0.0.1:7070
scalelaw up --data "$data" &
trap 'kill $!' EXIT
until scalelaw status >/dev/null 2>&1; do sleep 1; done
scalelaw submit examples/gpu-law.yaml --wait
for metric in alignment val_loss; do
  scalelaw fit gpu-diffusion --metric "$metric" --x flops
done
scalelaw fit gpu-diffusion --metric val_loss --x params,samples
scalelaw plot gpu-diffusion --out "$data/plots"

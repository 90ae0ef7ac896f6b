#!/usr/bin/env bash
# Installs the Debian 12 packages that scalelaw needs; does nothing where they are all present.
#
#   deploy/install.sh          what building and running need
#   deploy/install.sh --test   and what the tests need
set -euo pipefail

packages=(
  # build
  g++ cmake ninja-build ccache mold pkg-config
  # libraries of the service
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libabsl-dev libboost-dev
  libsqlite3-dev libsqlitecpp-dev libyaml-cpp-dev libcli11-dev libspdlog-dev libfmt-dev nlohmann-json3-dev libssl-dev
  libeigen3-dev prometheus-cpp-dev libre2-dev
  # the trainers: libtorch, a fast BLAS and gloo for it; images and archives; the data
  libtorch-dev libopenblas0-pthread libgloo-dev
  libpng-dev libturbojpeg0-dev libarchive-dev zlib1g-dev dataset-fashion-mnist
  # plots; the metrics database by hand
  gnuplot-nox fonts-dejavu-core sqlite3
)
# The dashboard is built with npm; a Node from elsewhere brings its own, beside which Debian's cannot be installed.
command -v npm >/dev/null || packages+=(nodejs npm)
if [ "${1:-}" = --test ]; then
  packages+=(libgtest-dev libgmock-dev python3 python3-grpcio python3-grpc-tools python3-protobuf python3-optuna python3-torch)
  # the Python package: how it is built and checked, what it works with, certificates to try it with
  packages+=(
    python3-setuptools python3-pip python3-venv python3-wheel mypy python3-yaml python3-pandas python3-matplotlib openssl
    # a cluster of two nodes on this machine
    slurmctld slurmd slurmdbd slurm-client slurm-wlm-basic-plugins munge mariadb-server-core
    # fuzzers; systemd's check of units, the schema of Kubernetes' manifests
    clang libclang-rt-14-dev systemd python3-kubernetes
  )
  # the dashboard's browser; promtool
  packages+=(chromium prometheus)
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "deploy/install.sh: run me as root, or install sudo" >&2; exit 1; }
  root=(sudo)
fi
echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
"${root[@]}" apt-get update -q
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"

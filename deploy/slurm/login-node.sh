#!/usr/bin/env bash
# An example: a coordinator and a worker on the login node of a Slurm cluster. Copy it, and adapt the lines below.
#
# Nothing runs here but these two small programs; training happens in jobs. DIR must lie on a file system that the
# compute nodes share, and so must the programs.
set -euo pipefail
dir=${SCALELAW_DIR:-$HOME/scalelaw}
export PATH=${SCALELAW_BIN:-$PWD/build/release/bin}:$PATH

# Loopback is shared with everybody on a login node: tokens keep them out.
mkdir -p "$dir"
for role in admin worker; do
  [ -s "$dir/$role.token" ] ||
    (umask 077 && scalelaw-server token create --data "$dir/server" --role $role --owner "$USER" >"$dir/$role.token")
done

scalelaw-server --data "$dir/server" --listen 127.0.0.1:7070 &
scalelaw-worker --server 127.0.0.1:7070 --token-file "$dir/worker.token" --work-dir "$dir/work" \
  --executor slurm --slots "${SCALELAW_SLOTS:-16}" \
  --partition gpu --gres gpu:1 --cpus-per-slot 8 --mem-per-slot 64G --time 12:00:00 &

echo "scalelaw --token-file $dir/admin.token submit examples/first-law.yaml --wait"
wait

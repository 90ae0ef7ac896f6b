#!/usr/bin/env python3
"""How long from `submit` to a trainer that runs: a real server and worker on loopback, one run at a time; and what
100,000 queued runs cost: their submission, the server's memory, and its restart, also with 50 million points (a database
of 3 GB, in $TMPDIR).

    bench/server/start_latency.py build/release/bin [RUNS_ONE_AT_A_TIME [QUEUED_RUNS [POINTS_PER_RUN]]]

The trainer's first act is to make a file, whose time is compared with that of the call.
"""

import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc  # Debian: python3-grpcio, python3-grpc-tools

BIN = Path(sys.argv[1]).resolve()
REPEATS = int(sys.argv[2]) if len(sys.argv) > 2 else 100
QUEUED = int(sys.argv[3]) if len(sys.argv) > 3 else 100_000
POINTS = int(sys.argv[4]) if len(sys.argv) > 4 else 500
SOURCE = Path(__file__).resolve().parents[2]


def generated(directory):
    """The API's messages for Python."""
    protos = [f"scalelaw/v1/{name}.proto" for name in ("runs", "sweeps")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I", SOURCE / "proto", f"--python_out={directory}",
                    f"--grpc_python_out={directory}", *protos], check=True)
    sys.path.insert(0, str(directory))
    from scalelaw.v1 import sweeps_pb2, sweeps_pb2_grpc
    return sweeps_pb2, sweeps_pb2_grpc


def start_server(data):
    (data / "server.addr").unlink(missing_ok=True)
    server = subprocess.Popen([BIN / "scalelaw-server", "--data", data, "--listen", "127.0.0.1:0"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (data / "server.addr").exists():
        time.sleep(0.001)
    return server, (data / "server.addr").read_text().strip()


def memory_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024


def sweep(sweeps_pb2, name, command, seeds):
    spec = sweeps_pb2.SweepSpec(name=name, study=name)
    stage = spec.stages.add(name="only", command=command)
    stage.budget.steps.append(1)
    stage.seeds.extend(seeds)
    return sweeps_pb2.SubmitSweepRequest(spec=spec)


def fill(data):
    """A curve for each run, straight into the table."""
    connection = sqlite3.connect(data / "scalelaw.db")
    connection.executescript(f"""
        pragma synchronous = off;
        insert into metrics values (1, 'loss');
        insert into points (run_id, metric_id, step, samples, flops, value)
        with recursive steps(step) as (select 1 union all select step + 1 from steps where step < {POINTS})
        select id, 1, step, step * 256, step * 1e9, 1.0 / step from (select id from runs order by id), steps;
        pragma wal_checkpoint(truncate);
    """)
    count = connection.execute("select count(*) from points").fetchone()[0]
    connection.close()
    return count


def restart(data, what):
    start = time.monotonic()
    server, _ = start_server(data)
    print(f"{what}: serving again {time.monotonic() - start:.2f} s after its start (wanted: under 2), at "
          f"{memory_mib(server.pid):.0f} MiB", flush=True)
    server.terminate()
    server.wait()


def main():
    with tempfile.TemporaryDirectory(prefix="scalelaw-bench-") as folder:
        root = Path(folder)
        sweeps_pb2, sweeps_pb2_grpc = generated(root)
        data = root / "data"
        data.mkdir()
        server, address = start_server(data)
        worker = subprocess.Popen([BIN / "scalelaw-worker", "--server", address, "--work-dir", root / "work", "--slots",
                                   "1"], stderr=subprocess.DEVNULL)
        stub = sweeps_pb2_grpc.SweepsStub(grpc.insecure_channel(address, [("grpc.max_receive_message_length", -1)]))
        stamp = root / "stamp"
        command = [str(root / "stamp.sh")]
        Path(command[0]).write_text(f"#!/bin/sh\necho > {stamp}\n")
        Path(command[0]).chmod(0o755)
        waits = []
        for repeat in range(REPEATS + 1):
            stamp.unlink(missing_ok=True)
            start = time.time()
            stub.Submit(sweep(sweeps_pb2, f"one-{repeat}", command, [repeat + 1]))
            while not stamp.exists():
                time.sleep(0.0005)
            waits.append((stamp.stat().st_ctime_ns / 1e9 - start) * 1000)
            time.sleep(0.2)
        waits = sorted(waits[1:])
        print(f"submit to trainer, {REPEATS} times: p50 {waits[len(waits) // 2]:.1f} ms (wanted: under 20), "
              f"p90 {waits[int(len(waits) * 0.9)]:.1f} ms")
        worker.terminate()
        worker.wait()

        start = time.monotonic()
        stub.Submit(sweep(sweeps_pb2, "many", ["/bin/true"], range(1, QUEUED + 1)))
        print(f"{QUEUED} runs submitted in {time.monotonic() - start:.2f} s (wanted: under 5); "
              f"server at {memory_mib(server.pid):.0f} MiB (under 500)")
        server.terminate()
        server.wait()
        restart(data, f"{QUEUED} runs")
        if POINTS > 0:
            restart(data, f"{QUEUED} runs and {fill(data)} points")


main()

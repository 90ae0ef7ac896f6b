#!/usr/bin/env python3
"""scalelaw-train against the same architecture in PyTorch eager, in turn, same threads and batch.

    bench/trainer/compare.py [--train build/release/bin/scalelaw-train] [--threads 1] [--batch 32] [--rounds 3]

Needs Debian's python3-torch. Both sides take the whole step: data, forward, backward, clipping, AdamW, weight average.
The best of the rounds is shown for each side; on a machine that has other work, `--clock cpu` (with one thread) leaves
that work out.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SIZES = [(32, 2), (64, 2), (96, 3), (128, 4), (256, 4)]


def environment(threads):
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}


def clock_of(process, clock):
    """Seconds so far: on the wall, or of processor time that the process has used."""
    if clock == "wall":
        return time.perf_counter()
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ours(train, clock, width, depth, batch, threads, steps):
    """Seconds per step between two metrics events, so that start-up and evaluation do not count."""
    with tempfile.TemporaryDirectory() as out:
        command = [train, "diffusion-dit", "--out", out, "--budget-steps", str(steps), "--threads", str(threads),
                   "--set", f"width={width}", "--set", f"depth={depth}", "--set", f"batch={batch}",
                   "--set", f"metrics_every={steps // 10}", "--set", "checkpoint_seconds=100000"]
        child = subprocess.Popen(command, env=environment(threads), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        seen, last = [], None
        path = pathlib.Path(out, "events.jsonl")
        while child.poll() is None and len(seen) < 9:
            if path.exists():
                metrics = [e for e in map(json.loads, path.read_text().splitlines()) if e["event"] == "metrics"]
                if metrics and metrics[-1]["step"] != last:
                    last = metrics[-1]["step"]
                    seen.append((clock_of(child, clock), last))
            time.sleep(0.002)
        child.terminate()
        child.wait()
    (begin, first), (end, final) = seen[0], seen[-1]
    return (end - begin) / (final - first)


def eager(python, clock, width, depth, batch, threads, steps):
    command = [python, str(HERE / "dit_eager.py"), "--clock", clock]
    for name, value in dict(width=width, depth=depth, heads=max(1, width // 32), batch=batch, steps=steps,
                            threads=threads).items():
        command += [f"--{name}", str(value)]
    return json.loads(subprocess.check_output(command, env=environment(threads)))["seconds_per_step"]


def describe(train, width, depth, batch):
    command = [train, "describe", "diffusion-dit"]
    for setting in (f"width={width}", f"depth={depth}", f"batch={batch}"):
        command += ["--set", setting]
    return json.loads(subprocess.check_output(command))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", default=str(HERE.parents[1] / "build/release/bin/scalelaw-train"))
    parser.add_argument("--python", default="/usr/bin/python3", help="a Python that has PyTorch")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="about how long each measurement runs")
    args = parser.parse_args()
    print(f"threads {args.threads}, batch {args.batch}, {args.clock} time, best of {args.rounds}")
    print(f"{'width':>5} {'depth':>5} {'params':>9} {'ours ms':>9} {'eager ms':>9} {'ours GFLOP/s':>13} {'ratio':>6}")
    for width, depth in SIZES:
        facts = describe(args.train, width, depth, args.batch)
        flops = facts["flops_per_sample"] * args.batch
        steps = max(50, int(args.seconds * 25e9 / flops) // 10 * 10)
        mine, theirs = [], []
        for _ in range(args.rounds):
            mine.append(ours(args.train, args.clock, width, depth, args.batch, args.threads, steps))
            theirs.append(eager(args.python, args.clock, width, depth, args.batch, args.threads, steps))
        print(f"{width:5} {depth:5} {facts['params']:9} {min(mine) * 1e3:9.2f} {min(theirs) * 1e3:9.2f} "
              f"{flops / min(mine) / 1e9:13.1f} {min(theirs) / min(mine):6.2f}", flush=True)


if __name__ == "__main__":
    main()

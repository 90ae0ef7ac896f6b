#!/usr/bin/env python3
"""scalelaw-train against the same architecture in PyTorch eager, in turn, same threads and batch.

    bench/trainer/compare.py [--family var] [--train build/release/bin/scalelaw-train] [--threads 1] [--rounds 3]

Needs Debian's python3-torch. Both sides take the whole step: data (for VAR also its tokens), forward, backward,
clipping, AdamW, weight average. Parameter counts must agree. FLOPs count the model alone, not the frozen tokenizer.
The best of the rounds is shown for each side; on a machine that has other work, `--clock cpu` (with one thread) leaves
that work out.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Family:
    name: str
    twin: str
    batch: int
    settings: tuple  # names, in the order of each size
    sizes: list
    inputs: dict  # artifact -> the family that makes it


FAMILIES = {
    "diffusion-dit": Family("diffusion-dit", "dit_eager.py", 16, ("width", "depth"),
                            [(16, 2), (32, 2), (48, 2), (64, 2), (80, 2), (128, 4), (256, 4)], {}),
    "var": Family("var", "var_eager.py", 8, ("depth", "width_per_depth"),
                  [(1, 16), (1, 32), (2, 16), (2, 24), (3, 16)], {"tokenizer": "var-tokenizer"}),
}


def environment(threads):
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}


def clock_of(process, clock):
    """Seconds so far: on the wall, or of processor time that the process has used."""
    if clock == "wall":
        return time.perf_counter()
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def make_inputs(family, train, directory):
    """Throw-away artifacts, trained for a moment: how well they work does not matter here."""
    given = []
    for artifact, maker in family.inputs.items():
        out = pathlib.Path(directory, artifact)
        subprocess.run([train, maker, "--out", str(out), "--budget-steps", "10"], check=True, stdout=subprocess.DEVNULL)
        given += ["--input", f"{artifact}={out}/{artifact}.pt"]
    return given


def ours(run, clock, threads, steps):
    """Seconds per step between two metrics events, so that start-up and evaluation do not count."""
    with tempfile.TemporaryDirectory() as out:
        command = [*run, "--out", out, "--budget-steps", str(steps), "--threads", str(threads),
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
    if len(seen) < 2:
        sys.exit(f"too few metrics events to measure: {' '.join(command)}")
    (begin, first), (end, final) = seen[0], seen[-1]
    return (end - begin) / (final - first)


def eager(python, family, clock, size, batch, threads, steps, params):
    command = [python, "-B", str(HERE / family.twin), "--clock", clock]
    for name, value in dict(size, batch=batch, steps=steps, threads=threads).items():
        command += [f"--{name}", str(value)]
    result = json.loads(subprocess.check_output(command, env=environment(threads)))
    if result["params"] != params:
        sys.exit(f"{family.twin} has {result['params']} parameters, {family.name} {params}: {size}")
    return result["seconds_per_step"]


def describe(train, run):
    return json.loads(subprocess.check_output([train, "describe", *run]))


def compare(family, args, inputs):
    batch = args.batch or family.batch
    print(f"{family.name}: threads {args.threads}, batch {batch}, {args.clock} time, best of {args.rounds}")
    print(f"{' '.join(family.settings)} {'params':>9} {'ours ms':>9} {'eager ms':>9} {'ours GFLOP/s':>13} {'ratio':>6}")
    for values in family.sizes:
        size = dict(zip(family.settings, values))
        run = [family.name, *inputs]
        for name, value in dict(size, batch=batch).items():
            run += ["--set", f"{name}={value}"]
        facts = describe(args.train, run)
        params = facts["params_total"]
        flops = facts["flops_per_sample"] * batch
        # About 25 GFLOP/s, and a millisecond for what is not counted.
        steps = max(50, int(args.seconds / (flops / 25e9 + 1e-3)) // 10 * 10)
        mine, theirs = [], []
        for _ in range(args.rounds):
            mine.append(ours([args.train, *run], args.clock, args.threads, steps))
            theirs.append(eager(args.python, family, args.clock, size, batch, args.threads, steps, params))
        shown = " ".join(f"{value:{len(name)}}" for name, value in size.items())
        print(f"{shown} {params:9} {min(mine) * 1e3:9.2f} {min(theirs) * 1e3:9.2f} "
              f"{flops / min(mine) / 1e9:13.1f} {min(theirs) / min(mine):6.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, default="diffusion-dit")
    parser.add_argument("--train", default=str(HERE.parents[1] / "build/release/bin/scalelaw-train"))
    parser.add_argument("--python", default="/usr/bin/python3", help="a Python that has PyTorch")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, help="default: the trainer's own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="about how long each measurement runs")
    args = parser.parse_args()
    family = FAMILIES[args.family]
    with tempfile.TemporaryDirectory() as directory:
        compare(family, args, make_inputs(family, args.train, directory))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""scalelaw-train against the same architecture in PyTorch eager, in turn, same threads and batch.

    bench/trainer/compare.py [--family var] [--train build/release/bin/scalelaw-train] [--threads 1] [--rounds 3]

Needs Debian's python3-torch. Both sides take the whole step: data (for VAR also its tokens), forward, backward,
clipping, AdamW, weight average. Parameter counts must agree. FLOPs count the model alone, not the frozen tokenizer.
The best of the rounds is shown for each side, and which share ours is of the rate of one large matrix product (float32,
the same threads). On a machine that has other work, `--clock cpu` (with one thread) leaves that work out.

On a GPU, both under bf16 autocast, beside the card's rate in bf16, models of more than 100 million parameters:

    bench/trainer/compare.py --device cuda --python PYTHON_WITH_CUDA --batch 256 --size 1024,12
    bench/trainer/compare.py --device cuda --python PYTHON_WITH_CUDA --batch 256 --size 16,64 --family var
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
                            [(16, 2), (32, 2), (48, 2), (64, 2), (80, 2), (128, 4), (256, 4), (512, 4)], {}),
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


def eager(args, family, size, batch, steps, params):
    command = [args.python, "-B", str(HERE / family.twin), "--clock", args.clock, "--device", args.device]
    for name, value in dict(size, batch=batch, steps=steps, threads=args.threads).items():
        command += [f"--{name}", str(value)]
    result = json.loads(subprocess.check_output(command, env=environment(args.threads)))
    if result["params"] != params:
        sys.exit(f"{family.twin} has {result['params']} parameters, {family.name} {params}: {size}")
    return result["seconds_per_step"]


MATMUL = """
import sys, time, torch
device, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
side, kind = (8192, torch.bfloat16) if device == "cuda" else (2048, torch.float32)
a, best = torch.randn(side, side, dtype=kind, device=device), float("inf")
now = time.perf_counter if device == "cuda" or threads > 1 else time.process_time
for _ in range(6):
    begin = now()
    (a @ a)[0, 0].item()  # waits for a GPU
    best = min(best, now() - begin)
print(2 * side ** 3 / best)
"""


def matmul_rate(args):
    """FLOP/s of a large matrix product, the best of some."""
    command = [args.python, "-c", MATMUL, args.device, str(args.threads)]
    return float(subprocess.check_output(command, env=environment(args.threads)))


def describe(train, run):
    return json.loads(subprocess.check_output([train, "describe", *run, "--json"]))


def compare(family, args, inputs):
    batch = args.batch or family.batch
    print(f"{family.name}: threads {args.threads}, batch {batch}, {args.clock} time, best of {args.rounds}")
    rate = matmul_rate(args)
    print(f"a large matrix product: {rate / 1e9:.0f} GFLOP/s")
    print(f"{' '.join(family.settings)} {'params':>9} {'ours ms':>9} {'eager ms':>9} {'ours GFLOP/s':>13} {'ratio':>6} "
          f"{'of matmul':>9}")
    for values in args.size or family.sizes:
        size = dict(zip(family.settings, values))
        run = [family.name, *inputs]
        for name, value in dict(size, batch=batch, device=args.device).items():
            run += ["--set", f"{name}={value}"]
        facts = describe(args.train, run)
        params = facts["params_total"]
        flops = facts["flops_per_sample"] * batch
        # About half of the matrix products' rate, and a millisecond for what is not counted.
        steps = max(50, int(args.seconds / (flops / (rate / 2) + 1e-3)) // 10 * 10)
        mine, theirs = [], []
        for _ in range(args.rounds):
            mine.append(ours([args.train, *run], args.clock, args.threads, steps))
            theirs.append(eager(args, family, size, batch, steps, params))
        shown = " ".join(f"{value:{len(name)}}" for name, value in size.items())
        print(f"{shown} {params:9} {min(mine) * 1e3:9.2f} {min(theirs) * 1e3:9.2f} "
              f"{flops / min(mine) / 1e9:13.1f} {min(theirs) / min(mine):6.2f} "
              f"{flops / min(mine) / rate:9.0%}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, default="diffusion-dit")
    parser.add_argument("--train", default=str(HERE.parents[1] / "build/release/bin/scalelaw-train"))
    parser.add_argument("--python", default="/usr/bin/python3", help="a Python that has PyTorch")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--size", action="append", type=lambda text: tuple(map(int, text.split(","))),
                        help="as in the table's first columns, with a comma; repeatable; default: small ones")
    parser.add_argument("--batch", type=int, help="default: the trainer's own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="about how long each measurement runs")
    args = parser.parse_args()
    family = FAMILIES[args.family]
    with tempfile.TemporaryDirectory() as directory:
        compare(family, args, make_inputs(family, args.train, directory))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Drawing images: scalelaw's families against the same models and samplers in PyTorch eager, in turn, same threads.

    cmake --preset release -DSCALELAW_BENCH=ON && cmake --build build/release --target sampling
    bench/trainer/sampling.py [--family var] [--images 256] [--threads 1] [--rounds 5] [--clock cpu]

Needs Debian's python3-torch. Diffusion: 20 Euler steps with guidance, both halves in one batch. VAR: key/value cache,
guidance, top-p 0.96, tokens to pixels included. Parameter counts must agree. The best of the rounds is shown.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import compare

HERE = pathlib.Path(__file__).resolve().parent


def ours(args, family, size, inputs):
    spec = {"params": size, "inputs": inputs}
    command = [args.sampling, family.name, json.dumps(spec), str(args.images), str(args.rounds), str(args.threads)]
    return json.loads(subprocess.check_output(command, env=compare.environment(args.threads)))


def eager(args, family, size):
    command = [args.python, "-B", str(HERE / family.twin)]
    for name, value in dict(size, images=args.images, rounds=args.rounds, threads=args.threads).items():
        command += [f"--{name}", str(value)]
    return json.loads(subprocess.check_output(command, env=compare.environment(args.threads)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=compare.FAMILIES, default="diffusion-dit")
    binaries = HERE.parents[1] / "build/release/bin"
    parser.add_argument("--train", default=str(binaries / "scalelaw-train"))
    parser.add_argument("--sampling", default=str(binaries / "sampling"))
    parser.add_argument("--python", default="/usr/bin/python3", help="a Python that has PyTorch")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    family = compare.FAMILIES[args.family]
    print(f"{family.name}: {args.images} images at once, threads {args.threads}, {args.clock} time, best of {args.rounds}")
    print(f"{' '.join(family.settings)} {'params':>9} {'ours ms':>9} {'eager ms':>9} {'ratio':>6}   per image")
    with tempfile.TemporaryDirectory() as directory:
        given = compare.make_inputs(family, args.train, directory)
        inputs = dict(pair.split("=", 1) for pair in given[1::2])
        for values in family.sizes:
            size = dict(zip(family.settings, values))
            mine, theirs = ours(args, family, size, inputs), eager(args, family, size)
            if mine["params"] != theirs["params"]:
                sys.exit(f"{family.twin} has {theirs['params']} parameters, {family.name} {mine['params']}: {size}")
            shown = " ".join(f"{value:{len(name)}}" for name, value in size.items())
            print(f"{shown} {mine['params']:9} {mine[args.clock] * 1e3:9.3f} {theirs[args.clock] * 1e3:9.3f} "
                  f"{theirs[args.clock] / mine[args.clock]:6.2f}", flush=True)


if __name__ == "__main__":
    main()

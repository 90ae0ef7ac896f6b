#!/usr/bin/env python3
"""Does a family's learning rate hold over widths? Trains each width at multiples of the rate that its rule gives.

    bench/trainer/learning_rates.py [--family var] [--samples 16000] [--seeds 2]

Prints the mean validation loss of every (width, multiple), and where the parabola through the best multiple and its
neighbours has its minimum. The rule holds if that is near 1 at every width; a fixed rate would need it to move with the
width. A few minutes on one core.
"""
import argparse
import json
import math
import os
import pathlib
import subprocess
import tempfile

MULTIPLES = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]
SIZES = {
    "diffusion-dit": [{"width": 16, "depth": 2}, {"width": 32, "depth": 2}, {"width": 64, "depth": 2}],
    "var": [{"depth": depth, "width_per_depth": 16} for depth in (1, 2, 4)],
}


def width_of(size):
    return size.get("width") or size["depth"] * size["width_per_depth"]


class Trainer:
    def __init__(self, arguments, folder):
        self.family, self.train, self.folder = arguments.family, arguments.train, folder
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.inputs = []
        if self.family == "var":
            self.call("var-tokenizer", "tokenizer", {}, 80000, 1, [])
            self.inputs = ["--input", f"tokenizer={folder}/tokenizer/tokenizer.pt"]

    def rate(self, size):
        """The rule's, as the program says."""
        settings = [word for name, value in size.items() for word in ("--set", f"{name}={value}")]
        described = subprocess.run([self.train, "describe", self.family, *settings, *self.inputs, "--json"], check=True,
                                   capture_output=True, text=True, env=self.environment)
        return json.loads(described.stdout)["parameters"]["learning_rate"]

    def call(self, family, name, parameters, samples, seed, inputs):
        """The run's last metrics; nothing if it diverged."""
        settings = [word for key, value in parameters.items() for word in ("--set", f"{key}={value}")]
        out = pathlib.Path(self.folder, name)
        ended = subprocess.run([self.train, family, *settings, *inputs, "--budget-samples", str(samples), "--seed",
                                str(seed), "--out", str(out)], capture_output=True, text=True, env=self.environment)
        if ended.returncode == 65 and "diverged" in ended.stderr:
            return None
        if ended.returncode != 0:
            raise SystemExit(ended.stderr)
        events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
        return [event["values"] for event in events if event["event"] == "metrics"][-1]

    def loss(self, size, rate, samples, seed):
        name = f"{width_of(size)}-{rate:g}-{seed}"
        values = self.call(self.family, name, {**size, "learning_rate": rate}, samples, seed, self.inputs)
        return values["val_loss"] if values else math.inf


def best_multiple(losses):
    """Minimum of the parabola over log2(multiple) through the least loss and its neighbours."""
    i = losses.index(min(losses))
    if i in (0, len(losses) - 1) or math.inf in losses[i - 1:i + 2]:
        return MULTIPLES[i]
    left, middle, right = losses[i - 1:i + 2]
    return MULTIPLES[i] * 2 ** (0.5 * (left - right) / (left - 2 * middle + right))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=sorted(SIZES), default="diffusion-dit")
    parser.add_argument("--samples", type=int, default=16000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--train", default="build/release/bin/scalelaw-train")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(arguments, folder)
        print("| width | rule's rate | " + " | ".join(f"×{m:g}" for m in MULTIPLES) + " | best × | best rate |")
        print("|---" * (len(MULTIPLES) + 4) + "|")
        for size in SIZES[arguments.family]:
            rate = trainer.rate(size)
            losses = []
            for multiple in MULTIPLES:
                repeats = [trainer.loss(size, rate * multiple, arguments.samples, seed + 1)
                           for seed in range(arguments.seeds)]
                losses.append(sum(repeats) / len(repeats))
            best = best_multiple(losses)
            print(f"| {width_of(size)} | {rate:.3g} | " + " | ".join(f"{loss:.4f}" for loss in losses) +
                  f" | {best:.2f} | {best * rate:.3g} |", flush=True)


if __name__ == "__main__":
    main()

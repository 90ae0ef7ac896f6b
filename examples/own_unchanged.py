"""A training script that knows nothing of scalelaw: it takes options, and prints what most scripts print.

examples/own-unchanged.yaml trains it as it is. The model: linear regression on the first `width` of infinitely many features
whose variances fall as i^-1.6, by SGD. What it cannot see and what it has not yet learned both fall as power laws, down to
the noise of the labels, 0.09: a small model of what large ones do (Maloney et al. 2022, arXiv 2210.16859).
"""

import argparse
import random

parser = argparse.ArgumentParser()
parser.add_argument("--width", type=int, required=True)
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--batch", type=int, default=2)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

random.seed(args.seed)
deviations = [i ** -0.8 for i in range(1, args.width + 1)]
unseen = (args.width + 0.5) ** -0.6 / 0.6 + 0.09  # variance of the label that no weight can explain
missing = [1.0] * args.width  # true weights, all 1, minus learned ones
rate = 0.5 / sum(s * s for s in deviations)
average = None
for step in range(1, args.steps + 1):
    gradient = [0.0] * args.width
    loss = 0.0
    for _ in range(args.batch):
        x = [random.gauss(0, s) for s in deviations]
        error = sum(m * xi for m, xi in zip(missing, x)) + random.gauss(0, unseen**0.5)
        gradient = [g + error * xi / args.batch for g, xi in zip(gradient, x)]
        loss += error * error / args.batch
    decayed = rate * (1 - (step - 1) / args.steps)
    missing = [m - decayed * g for m, g in zip(missing, gradient)]
    average = loss if average is None else 0.9 * average + 0.1 * loss
    if step % max(1, args.steps // 10) == 0 or step == args.steps:
        val_loss = sum((m * s) ** 2 for m, s in zip(missing, deviations)) + unseen  # over all data: it is known here
        print(f"(step={step:07d}) Train Loss: {average:.6f}, Val Loss: {val_loss:.6f}", flush=True)

"""A training script that knows nothing of scalelaw: it takes options, and prints what most scripts print.

examples/own-unchanged.yaml trains it as it is. The model: least squares for sin(x) by `width` random cosines, SGD.
"""

import argparse
import math
import random

parser = argparse.ArgumentParser()
parser.add_argument("--width", type=int, required=True)
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

random.seed(args.seed)
features = [(random.gauss(0, 2), random.uniform(0, 2 * math.pi)) for _ in range(args.width)]
weights = [0.0] * args.width
rate = 0.3 / args.width
average = None
for step in range(1, args.steps + 1):
    loss = 0.0
    for _ in range(args.batch):
        x = random.uniform(-2, 2)
        phi = [math.cos(a * x + b) for a, b in features]
        error = sum(w * p for w, p in zip(weights, phi)) - math.sin(2 * x)
        weights = [w - rate * error * p for w, p in zip(weights, phi)]
        loss += error * error / args.batch
    average = loss if average is None else 0.9 * average + 0.1 * loss
    if step % 10 == 0 or step == args.steps:
        print(f"[epoch 0] (step={step:07d}) Train Loss: {average:.6f}, Train Steps/Sec: 99.9", flush=True)

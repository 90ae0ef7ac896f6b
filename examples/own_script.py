"""A trainer in a few lines: any program that reads $SCALELAW_SPEC and appends JSON lines to $SCALELAW_EVENTS is one.

It learns y = -log(2|sin(pi x / 2)|) = cos(pi x) + cos(2 pi x)/2 + cos(3 pi x)/3 + ... with the first `width` of these
cosines, by stochastic gradient descent for as long as its budget pays (6 FLOPs per weight and sample). What the missing
cosines would add is about 1/(2 width): a real scaling law, in seconds.
"""
import json, math, os, random

spec = json.load(open(os.environ["SCALELAW_SPEC"]))
width, random_numbers = int(spec["params"]["width"]), random.Random(spec["seed"])
flops_per_sample = 6.0 * width
unit, amount = next(iter(spec["budget"].items()))
steps = max(1, int(amount / flops_per_sample if unit == "flops" else amount))

events = open(os.environ["SCALELAW_EVENTS"], "a")
def report(event, **fields):
    print(json.dumps({"event": event, **fields}), file=events, flush=True)

def target(x):
    return -math.log(2 * abs(math.sin(math.pi * x / 2)))
def features(x):
    return [math.cos(math.pi * k * x) for k in range(1, width + 1)]
def predict(phi):
    return sum(w * f for w, f in zip(weights, phi))

weights = [0.0] * width
held_out = [(features((i + 0.5) / 200), target((i + 0.5) / 200)) for i in range(200)]

report("start", params=width, params_total=width, flops_per_sample=flops_per_sample, step=0)
for step in range(1, steps + 1):
    x = random_numbers.uniform(0.001, 1)
    phi = features(x)
    error = predict(phi) - target(x) - random_numbers.gauss(0, 0.1)
    rate = 1.0 / (width + step / 4)
    weights = [w - rate * error * f for w, f in zip(weights, phi)]
    if step % max(1, steps // 20) == 0 or step == steps:
        loss = sum((predict(phi) - y) ** 2 for phi, y in held_out) / len(held_out)
        report("metrics", step=step, samples=step, flops=step * flops_per_sample, values={"val_loss": loss})
        report("progress", fraction=step / steps)
print(f"width {width}: held-out loss {loss:.4f} after {steps} steps")

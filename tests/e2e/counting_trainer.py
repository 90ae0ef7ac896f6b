"""A trainer whose every point is known in advance: metric `loss` at step s is 1/s + seed.

Options come as parameters: steps, step_seconds, work (a file that gets a line per completion), and `fault`.
"""

import json
import os
import signal
import sys
import time

spec = json.load(open(os.environ["SCALELAW_SPEC"]))
events = open(os.environ["SCALELAW_EVENTS"], "a", buffering=1)
checkpoint = os.path.join(os.environ["SCALELAW_CHECKPOINT_DIR"], "step.txt")
params = spec["params"]
steps = int(params.get("steps", 20))
fault = params.get("fault", "")


def emit(**event):
    events.write(json.dumps(event) + "\n")


def save(step):
    with open(checkpoint + ".new", "w") as out:
        out.write(str(step))
    os.rename(checkpoint + ".new", checkpoint)
    emit(event="checkpoint", step=step, path=checkpoint)


start = int(open(checkpoint).read()) if os.path.exists(checkpoint) else 0
if start:
    print(f"resumed from step {start}", flush=True)
emit(event="start", params=1000 * int(params.get("size", 1)), params_total=1100, flops_per_sample=6e3, step=start)

if fault == "garbage":
    os.write(1, os.urandom(200_000))
    events.write("this is no JSON\n{\"event\": 12}\n\x00\xff{{{\n[1, 2]\n{\"event\":\"metrics\",\"step\":\"one\"}\n")
elif fault == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif fault == "not-finite":
    emit(event="metrics", step=1, samples=1, flops=1.0, values={"loss": 2.0})
    events.write('{"event":"metrics","step":2,"samples":2,"flops":2.0,"values":{"loss":NaN}}\n')
    sys.exit("loss is not finite at step 2")

stop = []
if fault != "deaf":
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))

for step in range(start + 1, steps + 1):
    time.sleep(float(params.get("step_seconds", 0.02)))
    emit(event="metrics", step=step, samples=10 * step, flops=6e4 * step,
         values={"loss": 1.0 / step + spec["seed"]})
    emit(event="progress", fraction=step / steps)
    if step % 5 == 0:
        save(step)
    if fault == "crash-once" and spec["attempt"] == 1 and step == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    if stop:
        save(step)
        sys.exit(75)

if "work" in params:
    with open(params["work"], "a") as out:
        out.write(f"{spec['run']}\n")

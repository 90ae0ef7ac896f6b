"""A trainer to watch: prints, reports a loss, and makes a sample image every few steps. Parameters: steps, step_seconds."""

import json
import os
import struct
import time
import zlib

spec = json.load(open(os.environ["SCALELAW_SPEC"]))
events = open(os.environ["SCALELAW_EVENTS"], "a", buffering=1)
params = spec["params"]
size = int(params.get("size", 1))


def emit(**event):
    events.write(json.dumps(event) + "\n")


def png(path, share):
    """A square that gets brighter, 24×24 grey."""
    row = b"\0" + bytes(int(255 * share * (x + 1) / 24) for x in range(24))
    chunk = lambda kind, data: (struct.pack(">I", len(data)) + kind + data
                                + struct.pack(">I", zlib.crc32(kind + data)))
    with open(path, "wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 24, 24, 8, 0, 0, 0, 0))
                  + chunk(b"IDAT", zlib.compress(row * 24)) + chunk(b"IEND", b""))


steps = int(params["steps"])
emit(event="start", params=1000 * size, params_total=1100 * size, flops_per_sample=6000.0 * size, step=0)
for step in range(1, steps + 1):
    time.sleep(float(params["step_seconds"]))
    emit(event="metrics", step=step, samples=10 * step, flops=6e4 * size * step,
         values={"loss": 1 / size + 2 / step ** 0.5, "energy_joules": 5.0 * step})
    emit(event="progress", fraction=step / steps)
    print(f"step {step} of {steps}", flush=True)
    if step % 10 == 0:
        name = f"samples {step}"
        png(f"{step}.png", step / steps)
        emit(event="artifact", name=name, path=f"{step}.png", kind="image")

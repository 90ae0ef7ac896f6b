"""Makes any Python training script a trainer of scalelaw. One file, no dependencies: copy it beside your script.

Five lines of a script, added or changed, as in examples/own_pytorch.py:

    import scalelaw
    width = scalelaw.param("width", 64)                         # instead of: width = 64
    torch.manual_seed(scalelaw.seed)
    for step in scalelaw.steps(model, batch=32, default=1000):  # instead of: for step in range(1000)
        ...
        scalelaw.log(loss=loss.item())                          # whenever there is something to report

Without a coordinator (no $SCALELAW_SPEC) the same script runs by hand: parameters and steps have their defaults, and
what is logged goes nowhere. Of several processes (torchrun) the first reports. The protocol: docs/trainer-protocol.md.
"""
import json
import math
import os
import signal
import sys
import time

EXIT_CANNOT_SUCCEED = 65
EXIT_RESUME_LATER = 75


def _read_spec():
    path = os.environ.get("SCALELAW_SPEC")
    if not path:
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


_spec = _read_spec()
_run = None
_stopping = False

#: The run's seed, its inputs (artifact name -> path), and a folder that every attempt of the run finds again.
seed = int(_spec.get("seed", 1))
inputs = dict(_spec.get("inputs", {}))
checkpoint_dir = os.environ.get("SCALELAW_CHECKPOINT_DIR", "checkpoints")


def param(name, default):
    """The run's parameter `name`, of the default's type; the default where the run does not set it."""
    value = _spec.get("params", {}).get(name, default)
    kind = type(default)
    try:
        if kind is bool or kind is str:
            converted = value if type(value) is kind else None
        else:
            converted = kind(value) if kind(value) == value else None  # 64.0 is 64, 0.5 is no whole number
    except (TypeError, ValueError):
        converted = None
    if converted is None:
        _give_up(f"{name}: must be of type {kind.__name__}, not {value!r}")
    return converted


def steps(model=None, *, batch=1, default=1000, first=0, params=None, flops_per_sample=None):
    """Begins the run and counts its steps: as many as its budget pays for, `default` where it has none.

    model: counted as `params` if it has PyTorch's `parameters()`. batch: samples per step. first: steps that the
    script's own checkpoint has behind it. flops_per_sample: forward and backward; where it is not given, 6 per
    parameter, which is right for dense layers that see each sample once and wrong for convolutions and sequences.

    SIGTERM ends the process with exit code 75 before the next step, unless the script has looked at `stopping()`: then
    it is the script's to save a checkpoint and call `resume_later()`.
    """
    global _run
    if params is None:
        params = sum(p.numel() for p in model.parameters())
    if flops_per_sample is None:
        flops_per_sample = 6.0 * params
    _run = _Run(batch, float(flops_per_sample), first)
    _run.report("start", params=params, params_total=params, flops_per_sample=_run.flops_per_sample, step=first)
    if _spec:
        signal.signal(signal.SIGTERM, _stop)
    return _run.count(default)


def log(**values):
    """Metrics after the steps done so far; inside the loop, the one under way is one of them.

    A value that is not finite ends the process: the run has diverged and is not tried again.
    """
    for name, value in values.items():
        if not math.isfinite(float(value)):
            _give_up(f"diverged at step {_run.done}: {name} is {float(value)}")
    samples = _run.done * _run.batch
    _run.report("metrics", step=_run.done, samples=samples, flops=samples * _run.flops_per_sample,
                values={name: float(value) for name, value in values.items()})


def checkpoint(path):
    """A checkpoint of the steps done so far is complete at this path."""
    _run.report("checkpoint", step=_run.done, path=str(path))


def artifact(name, path, kind="model"):
    """A file that the run leaves, complete by now."""
    _run.report("artifact", name=name, path=str(path), kind=kind)


def stopping():
    """Whether the run has been asked to stop (SIGTERM)."""
    _run.script_stops = True
    return _stopping


def resume_later():
    """Ends the process: interrupted after saving a checkpoint."""
    sys.exit(EXIT_RESUME_LATER)


class _Run:
    def __init__(self, batch, flops_per_sample, first):
        self.batch, self.flops_per_sample, self.done = batch, flops_per_sample, first
        self.script_stops = False
        self._progress_at = 0.0
        self._events = None
        if _spec and os.environ.get("RANK", "0") == "0":
            self._events = open(os.environ["SCALELAW_EVENTS"], "a", encoding="utf-8")

    def report(self, event, **fields):
        if self._events:
            self._events.write(json.dumps({"event": event, **fields}) + "\n")
            self._events.flush()

    def count(self, default):
        total = self._budgeted(default)
        for step in range(self.done, total):
            if _stopping and not self.script_stops:
                resume_later()
            self.done = step + 1
            yield step
            if self.done == total or time.monotonic() - self._progress_at >= 1:
                self._progress_at = time.monotonic()
                self.report("progress", fraction=self.done / total)

    def _budgeted(self, default):
        for unit, amount in _spec.get("budget", {}).items():
            per_step = {"steps": 1, "samples": self.batch, "flops": self.batch * self.flops_per_sample}[unit]
            return max(1, int(amount / per_step))
        return default


def _stop(*_):
    global _stopping
    _stopping = True


def _give_up(message):
    print(message, file=sys.stderr)
    sys.exit(EXIT_CANNOT_SUCCEED)

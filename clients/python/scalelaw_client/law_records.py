"""Laws and what they answer, as plain records. Names and units as in records.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Dict, List, Optional

from .conversion import record_for
from .v1 import laws_pb2, sweeps_pb2


@record_for(laws_pb2.Observation)
@dataclass(frozen=True)
class Observation:
    """A succeeded run's last value of a metric: what a law is fitted to."""

    run_id: int
    run: str
    params: float
    samples: float
    flops: float
    value: float
    seed: int
    holdout: bool
    budget_flops: float


@record_for(laws_pb2.Parameter)
@dataclass(frozen=True)
class Parameter:
    name: str
    value: float
    se: float
    ci95_low: float
    ci95_high: float
    identified: bool
    unbounded: str
    fixed: bool


@record_for(laws_pb2.Objective)
@dataclass(frozen=True)
class Objective:
    kind: str
    residual: str
    delta: float
    value: float


@record_for(laws_pb2.Range)
@dataclass(frozen=True)
class Range:
    column: str
    low: float
    high: float


@record_for(laws_pb2.Rival)
@dataclass(frozen=True)
class Rival:
    form: str
    weight: float


@record_for(laws_pb2.Law)
@dataclass(frozen=True)
class Law:
    """A fitted law. `document` is the whole of it as JSON (docs/laws.md), enough to predict anywhere; only `fit` and
    `law` fill it."""

    id: int
    study: str
    metric: str
    form: str
    formula: str
    x: List[str]
    n: int
    objective: Objective
    parameters: List[Parameter]
    r2: float
    pearson_log: float
    warnings: List[str]
    observations_hash: str
    ranges: List[Range]
    fitted: Optional[datetime]
    document: str = field(repr=False)
    resample: str
    intervals: str
    condition: float
    rivals: List[Rival]

    def __getitem__(self, parameter: str) -> Parameter:
        """By name: `law["alpha"].value`."""
        for one in self.parameters:
            if one.name == parameter:
                return one
        raise KeyError(f"{parameter}; the law has {', '.join(one.name for one in self.parameters)}")


@record_for(laws_pb2.Prediction)
@dataclass(frozen=True)
class Prediction:
    """Of one new run. Intervals hold the uncertainty of the law and the scatter of a run about it; `extrapolation` is
    how far beyond the fitted range each column is, as a factor (1: inside)."""

    law_id: int
    metric: str
    at: Dict[str, float]
    value: float
    low50: float
    high50: float
    low95: float
    high95: float
    extrapolation: Dict[str, float]
    warnings: List[str]
    law_warnings: int


@record_for(laws_pb2.Verification)
@dataclass(frozen=True)
class Verification:
    """A prediction beside the held-out run that was measured. `predicted_before`: the law was stored before it began."""

    prediction: Prediction
    measured: Observation
    inside50: bool
    inside95: bool
    relative_error: float
    predicted_before: bool


@record_for(laws_pb2.Estimate)
@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval over the law's draws."""

    value: float
    low95: float
    high95: float

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low95:.4g}, {self.high95:.4g}]"


@record_for(laws_pb2.TrainingCost)
@dataclass(frozen=True)
class TrainingCost:
    """FLOPs to train: factor · params^exponent · samples."""

    factor: float
    exponent: float = 1.0
    source: str = ""


@record_for(laws_pb2.Size)
@dataclass(frozen=True)
class Size:
    """A size that can be trained; `flops_per_sample` 0: by the training cost."""

    name: str
    params: float
    flops_per_sample: float = 0.0


@record_for(laws_pb2.OffOptimum)
@dataclass(frozen=True)
class OffOptimum:
    factor: float
    params: float
    samples: float
    value: float
    overhead: Estimate


@record_for(laws_pb2.SizeChoice)
@dataclass(frozen=True)
class SizeChoice:
    size: Size
    samples: Estimate
    value: Estimate
    flops: Estimate
    best_share: float


@record_for(laws_pb2.Optimum)
@dataclass(frozen=True)
class Optimum:
    """The best size and data for a budget, or for a value to reach."""

    law_id: int
    metric: str
    params: Estimate
    samples: Estimate
    steps: Optional[Estimate]
    value: Estimate
    prediction: Prediction
    flops: Estimate
    training_flops: float
    serving_flops: float
    cost: TrainingCost
    params_exponent: Optional[Estimate]
    samples_exponent: Optional[Estimate]
    limit: str
    overhead: Optional[Estimate]
    off: List[OffOptimum]
    params_low: float
    params_high: float
    sizes: List[SizeChoice]
    without_optimum: float
    warnings: List[str]


@record_for(laws_pb2.ComparedAt)
@dataclass(frozen=True)
class ComparedAt:
    """`multiplier`: how many times A's compute B takes to reach A's value."""

    at: float
    a: Estimate
    b: Estimate
    multiplier: Estimate
    unreachable: float
    a_better: Optional[float]
    inside: bool


@record_for(laws_pb2.Crossing)
@dataclass(frozen=True)
class Crossing:
    at: Estimate
    share: float
    inside: bool
    a_better_beyond: bool


@record_for(laws_pb2.Comparison)
@dataclass(frozen=True)
class Comparison:
    a: str
    b: str
    metric: str
    column: str
    paired: bool
    unpaired_because: str
    at: List[ComparedAt]
    crossings: List[Crossing]
    crossing_share: float
    warnings: List[str]


@record_for(laws_pb2.PlannedRun)
@dataclass(frozen=True)
class PlannedRun:
    at: Dict[str, float]
    flops: float
    seed: int
    contribution: float
    half_width: float


@record_for(laws_pb2.RunPlan)
@dataclass(frozen=True)
class RunPlan:
    """The runs that narrow a prediction most per FLOP, best first. `sweep` is ready for `Client.submit`."""

    law_id: int
    metric: str
    target: float
    runs: List[PlannedRun]
    flops: float
    curve_before: float
    curve_after: float
    run_before: float
    run_after: float
    reached: bool
    cost: TrainingCost
    sweep: Optional[sweeps_pb2.SweepSpec]
    warnings: List[str]
    best_params_at_flops: Optional[float]


@record_for(laws_pb2.FactorError)
@dataclass(frozen=True)
class FactorError:
    low: float
    high: float
    count: int
    error: float
    bias: float
    coverage95: Optional[float]


@record_for(laws_pb2.RankedForm)
@dataclass(frozen=True)
class RankedForm:
    """`error`: mean |ln predicted − ln measured| on runs larger than those fitted."""

    form: str
    x: List[str]
    error: float
    bias: float
    coverage95: Optional[float]
    excess: float
    excess_se: float
    survives: bool
    weight: Optional[float]
    by_factor: List[FactorError]
    failures: List[str]


@record_for(laws_pb2.Split)
@dataclass(frozen=True)
class Split:
    factor: float
    threshold: float
    fitted: int
    held_out: int


@record_for(laws_pb2.Ranking)
@dataclass(frozen=True)
class Ranking:
    """Forms by how well they extrapolate, best first."""

    metric: str
    by: str
    splits: List[Split]
    skipped: List[str]
    forms: List[RankedForm]
    warnings: List[str]

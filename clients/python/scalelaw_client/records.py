"""Sweeps, runs and workers, as plain records.

Fields are those of the messages in proto/scalelaw/v1 of the same name, which say more about each. Units: `params`
parameters, `flops` training FLOPs, `samples` samples seen, `step` optimizer steps; times are UTC. States are words:
`waiting`, `running`, `succeeded`. None: not known, or does not apply.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Dict, Iterable, List, Mapping, Optional

from .conversion import record_for
from .v1 import runs_pb2, sweeps_pb2, workers_pb2


@record_for(sweeps_pb2.RunCounts)
@dataclass(frozen=True)
class RunCounts:
    total: int
    waiting: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    skipped: int


@record_for(sweeps_pb2.Limits)
@dataclass(frozen=True)
class Limits:
    """Reaching one pauses the sweep; 0: none. `slot_hours`: slots × hours of its attempts."""

    flops: float
    slot_hours: float


@record_for(sweeps_pb2.Sweep)
@dataclass(frozen=True)
class SweepStatus:
    """How a sweep is doing. `seconds_left` is estimated from the measured rate, `reason` is why it is paused."""

    id: int
    name: str
    study: str
    state: str
    runs: RunCounts
    submitted: Optional[datetime]
    finished: Optional[datetime]
    flops_spent: float
    flops_planned: float
    seconds_left: Optional[float]
    reason: str
    priority: int
    owner: str
    slot_hours: float
    limits: Optional[Limits]

    @property
    def is_over(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")


@record_for(runs_pb2.Run)
@dataclass(frozen=True)
class Run:
    """A training job. `params` are its parameters as submitted, `model_params` the size of the model's backbone,
    `latest` the newest value of each metric, `reason` why it waits, failed or was skipped."""

    id: int
    sweep_id: int
    study: str
    stage: str
    name: str
    state: str
    params: Dict[str, Any]
    budget_flops: Optional[float]
    budget_samples: Optional[int]
    budget_steps: Optional[int]
    seed: int
    holdout: bool
    command: List[str]
    model_params: int
    model_params_total: int
    flops_per_sample: float
    progress: float
    step: int
    samples: int
    flops: float
    latest: Dict[str, float]
    seconds_left: Optional[float]
    attempts: int
    worker: str
    exit_code: int
    reason: str
    started: Optional[datetime]
    finished: Optional[datetime]
    slots: int
    labels: Dict[str, str]
    workers: int
    gpu_model: str
    gpu_memory_gib: float


@record_for(runs_pb2.Point)
@dataclass(frozen=True)
class Point:
    """Of a run's curve of a metric."""

    step: int
    samples: int
    flops: float
    value: float


@dataclass(frozen=True)
class CurvePoint:
    """A point of a curve with what it belongs to, so that points of many runs are one table."""

    run_id: int
    metric: str
    step: int
    samples: int
    flops: float
    value: float


@dataclass(frozen=True)
class ImportedRun:
    """A run that was trained elsewhere. `key` tells it from the others, so that importing it again updates it.

    curves: metric -> its points; one point, the last, is enough for a law.
    model_params: backbone parameters. holdout: laws are verified against it, never fitted to it.
    """

    key: str
    curves: Mapping[str, Iterable[Point]]
    params: Mapping[str, Any] = field(default_factory=dict)
    model_params: int = 0
    seed: int = 0
    holdout: bool = False
    failed: bool = False
    name: str = ""


@record_for(workers_pb2.Worker)
@dataclass(frozen=True)
class Worker:
    id: int
    name: str
    host: str
    state: str
    slots: int
    slots_used: int
    labels: Dict[str, str]
    last_seen: Optional[datetime]
    run_ids: List[int]
    version: str
    gpu_model: str
    gpu_memory_bytes: int
    reason: str

"""Runs that were trained elsewhere, as requests of a size that a server takes."""

from __future__ import annotations

from typing import Iterable, Iterator

from .errors import InvalidArgument
from .records import ImportedRun
from .sweep_spec import struct
from .v1 import runs_pb2

# As `scalelaw import`. A run that does not fit is continued in the next request.
_POINTS = 20_000
_RUNS = 500


def import_requests(study: str, sweep: str, runs: Iterable[ImportedRun]) -> Iterator[runs_pb2.ImportRunsRequest]:
    """InvalidArgument naming the run, and what of it is no number."""
    request = runs_pb2.ImportRunsRequest(study=study, sweep=sweep)
    points = 0
    for run in runs:
        if len(request.runs) >= _RUNS:
            yield request
            request, points = runs_pb2.ImportRunsRequest(study=study, sweep=sweep), 0
        facts = _facts(run)
        part = request.runs.add()
        part.CopyFrom(facts)
        for metric, curve in run.curves.items():
            sent = part.curves.add(metric=metric)
            for point in curve:
                if points >= _POINTS:
                    yield request
                    request, points = runs_pb2.ImportRunsRequest(study=study, sweep=sweep), 0
                    part = request.runs.add()
                    part.CopyFrom(facts)
                    sent = part.curves.add(metric=metric)
                try:
                    sent.points.add(step=int(point.step), samples=int(point.samples), flops=point.flops, value=point.value)
                except (TypeError, ValueError) as error:
                    raise InvalidArgument(f"runs: {run.key}: {metric}: {error}") from error
                points += 1
    if request.runs:
        yield request


def _facts(run: ImportedRun) -> runs_pb2.ImportedRun:
    try:
        facts = runs_pb2.ImportedRun(key=run.key, name=run.name, seed=run.seed, holdout=run.holdout, failed=run.failed,
                                     model_params=int(run.model_params))
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"runs: {run.key}: {error}") from error
    facts.params.CopyFrom(struct(run.params, "params"))
    return facts

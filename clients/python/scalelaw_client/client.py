"""A scalelaw server's API: what it holds, and what it can be asked."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import grpc

from .connection import Pem, open_channel
from .conversion import Records, record_of, records_of
from .errors import InvalidArgument, from_rpc
from .imports import import_requests
from .law_records import (Comparison, Law, Observation, Optimum, Prediction, Ranking, RunPlan, Size, TrainingCost,
                          Verification)
from .records import CurvePoint, ImportedRun, Run, SweepStatus, Worker
from .sweep import Sweep
from .sweep_spec import Spec, sweep_spec
from .v1 import (laws_pb2, laws_pb2_grpc, runs_pb2, runs_pb2_grpc, sweeps_pb2, sweeps_pb2_grpc, workers_pb2,
                 workers_pb2_grpc)

#: A law; its id; or a study and a metric: their newest law.
LawReference = Union[Law, int, Tuple[str, str]]

# Seconds that a request may take; fits may bootstrap for minutes.
_SHORT = 30.0
_LONG = 600.0


class Client:
    """A connection to a server, made with the first request. To be closed, or used as a context.

    address: HOST:PORT; default $SCALELAW_SERVER, else 127.0.0.1:7070.
    token: what the server knows its clients by; default the file $SCALELAW_TOKEN_FILE, else $SCALELAW_TOKEN.
    tls: use TLS, trusting the authorities of this machine; default $SCALELAW_TLS. Implied by the following.
    root_certificates: PEM file, or its bytes, of the authority that signed the server's certificate; $SCALELAW_TLS_CA.
    certificate, key: our own, where the server asks for one (mutual TLS); $SCALELAW_TLS_CERT, $SCALELAW_TLS_KEY.

    Every method raises a ScalelawError (see errors.py) that names the field and what helps. `stubs` are the generated
    ones, for requests that have no method here; these raise grpc.RpcError.
    """

    def __init__(self, address: Optional[str] = None, *, token: Optional[str] = None, tls: Optional[bool] = None,
                 root_certificates: Optional[Pem] = None, certificate: Optional[Pem] = None, key: Optional[Pem] = None):
        environment = os.environ.get
        self.address = address or environment("SCALELAW_SERVER") or "127.0.0.1:7070"
        self._channel = open_channel(
            self.address,
            token=token if token is not None else _token_of_environment(),
            tls=tls if tls is not None else environment("SCALELAW_TLS", "").lower() in ("1", "true", "on", "yes"),
            root_certificates=root_certificates or environment("SCALELAW_TLS_CA") or None,
            certificate=certificate or environment("SCALELAW_TLS_CERT") or None,
            key=key or environment("SCALELAW_TLS_KEY") or None)
        self.stubs = Stubs(self._channel)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def _call(self, method: Any, request: Any, seconds: float = _SHORT) -> Any:
        try:
            return method(request, timeout=seconds)
        except grpc.RpcError as error:
            raise from_rpc(error, self.address) from error

    # --- sweeps ---

    def submit(self, sweep: Spec, *, key: str = "") -> Sweep:
        """Submits a sweep: the path of a sweep file, YAML text, a dict of that shape, or a SweepSpec. Runs that the study
        holds already are reused. Submitting twice with the same `key` gives the same sweep."""
        request = sweeps_pb2.SubmitSweepRequest(spec=sweep_spec(sweep), idempotency_key=key)
        return Sweep(self, record_of(self._call(self.stubs.sweeps.Submit, request).sweep))

    def dry_run(self, sweep: Spec) -> Records[Run]:
        """The runs that a sweep would make. Nothing is submitted."""
        request = sweeps_pb2.SubmitSweepRequest(spec=sweep_spec(sweep), dry_run=True)
        return records_of(self._call(self.stubs.sweeps.Submit, request).runs)

    def sweep(self, sweep: Union[int, str]) -> Sweep:
        """By its number or name (the newest of that name)."""
        return Sweep(self, record_of(self._call(self.stubs.sweeps.Get, sweeps_pb2.GetSweepRequest(sweep=str(sweep)))))

    def sweeps(self, study: str = "") -> Records[SweepStatus]:
        return records_of(self._call(self.stubs.sweeps.List, sweeps_pb2.ListSweepsRequest(study=study)).sweeps)

    # --- runs ---

    def runs(self, *, sweep: Union[int, str] = "", study: str = "", states: Sequence[str] = ()) -> Records[Run]:
        """states: of waiting, queued, running, succeeded, failed, cancelled, skipped; none: all."""
        request = runs_pb2.ListRunsRequest(sweep=str(sweep), study=study, states=[_run_state(state) for state in states])
        return records_of(self._call(self.stubs.runs.List, request).runs)

    def run(self, run_id: int) -> Run:
        return record_of(self._call(self.stubs.runs.Get, runs_pb2.GetRunRequest(run_id=run_id)))

    def points(self, runs: Union[int, Run, Iterable[Union[int, Run]]], metric: str = "") -> Records[CurvePoint]:
        """The curves of one run or several, by step; of one metric, or of all."""
        points: Records[CurvePoint] = Records()
        for run in [runs] if isinstance(runs, (int, Run)) else runs:
            run_id = run.id if isinstance(run, Run) else run
            request = runs_pb2.GetMetricsRequest(run_id=run_id, metric=metric)
            for curve in self._call(self.stubs.runs.Metrics, request).curves:
                points.extend(CurvePoint(run_id, curve.metric, p.step, p.samples, p.flops, p.value) for p in curve.points)
        return points

    def logs(self, run_id: int, *, follow: bool = False, tail_lines: int = 0) -> Iterator[str]:
        """What the trainer printed, oldest first; with `follow` until the run has ended. tail_lines: the newest only."""
        request = runs_pb2.GetLogsRequest(run_id=run_id, follow=follow, tail_lines=tail_lines)
        chunks = self.stubs.runs.Logs(request, timeout=None if follow else _LONG)
        try:
            for chunk in chunks:
                yield chunk.text
        except grpc.RpcError as error:
            raise from_rpc(error, self.address) from error
        finally:
            chunks.cancel()

    def retry(self, run_id: int) -> Run:
        """Queues a failed, cancelled or skipped run again."""
        return record_of(self._call(self.stubs.runs.Retry, runs_pb2.RetryRunRequest(run_id=run_id)))

    def import_runs(self, study: str, runs: Iterable[ImportedRun], *, sweep: str = "imported") -> int:
        """Stores runs that were trained elsewhere, and gives how many are new; importing again updates them. `sweep` is
        the sweep of the study that holds them. Nothing is sent before all of it has been looked at."""
        requests = list(import_requests(study, sweep, runs))
        return sum(self._call(self.stubs.runs.Import, request, _LONG).added for request in requests)

    def workers(self) -> Records[Worker]:
        return records_of(self._call(self.stubs.workers.List, workers_pb2.ListWorkersRequest()).workers)

    def drain(self, worker: Union[int, str], reason: str = "") -> Worker:
        """Gives a worker, by its number or name, nothing more; what runs there goes on."""
        request = workers_pb2.DrainWorkerRequest(worker=str(worker), reason=reason)
        return record_of(self._call(self.stubs.workers.Drain, request))

    def undrain(self, worker: Union[int, str]) -> Worker:
        return record_of(self._call(self.stubs.workers.Undrain, workers_pb2.UndrainWorkerRequest(worker=str(worker))))

    # --- laws ---

    def observations(self, study: str, metric: str) -> Records[Observation]:
        """What a fit would see."""
        request = laws_pb2.ObservationsRequest(study=study, metric=metric)
        return records_of(self._call(self.stubs.laws.Observations, request).observations)

    def fit(self, study: str, metric: str, *, x: Sequence[str] = (), form: str = "", bootstrap: Optional[int] = None,
            seed: Optional[int] = None, residual: Optional[str] = None, objective: Optional[str] = None,
            huber_delta: Optional[float] = None, huber_scale: Optional[float] = None, chance: Optional[float] = None,
            ceiling: Optional[float] = None, points: Optional[str] = None, min_flops: Optional[float] = None,
            max_flops: Optional[float] = None, fixed: Optional[Mapping[str, float]] = None,
            resample: Optional[str] = None, intervals: Optional[str] = None, loss: Optional[str] = None,
            rivals: Optional[Sequence[str]] = None, search: Optional[Mapping[str, Tuple[float, float]]] = None) -> Law:
        """Fits and stores a law. Options as those of `scalelaw fit` and docs/laws.md.

        x: columns, `("flops",)` (the default) for a curve, `("params", "samples")` for a surface.
        form: a form's name, or an expression such as `E + A*params^-alpha + B*samples^-beta`; default: by the columns.
        rivals: forms that share the prediction intervals; `()` for none. search: parameter -> (lowest, highest).
        """
        request = _message(
            laws_pb2.FitRequest, study=study, metric=metric, x=_words("x", x), form=form, bootstrap=bootstrap, seed=seed,
            residual=residual, objective=objective, huber_delta=huber_delta, huber_scale=huber_scale, chance=chance,
            ceiling=ceiling, points=points, min_flops=min_flops, max_flops=max_flops, fixed=fixed, resample=resample,
            intervals=intervals, loss=loss,
            rivals=None if rivals is None else laws_pb2.Rivals(forms=_words("rivals", rivals)),
            search=None if search is None else {name: laws_pb2.SearchRange(low=low, high=high)
                                                for name, (low, high) in search.items()})
        return record_of(self._call(self.stubs.laws.Fit, request, _LONG))

    def law(self, law_id: int) -> Law:
        """With its document."""
        return record_of(self._call(self.stubs.laws.Get, laws_pb2.GetLawRequest(law_id=law_id)))

    def laws(self, study: str = "") -> Records[Law]:
        """Newest first."""
        return records_of(self._call(self.stubs.laws.List, laws_pb2.ListLawsRequest(study=study)).laws)

    def predict(self, law: LawReference, at: Optional[Mapping[str, float]] = None, **columns: float) -> Prediction:
        """`predict(law, flops=3e12)`, `predict(("study", "val_loss"), params=1e9, samples=2e10)`; columns whose names are
        no Python names go into `at`."""
        request = laws_pb2.PredictRequest(at={**(at or {}), **columns})
        _refer(request, law)
        return record_of(self._call(self.stubs.laws.Predict, request, _LONG))

    def verify(self, study: str, metric: str = "") -> Records[Verification]:
        """Stored predictions beside the held-out runs that have been measured."""
        request = laws_pb2.VerifyRequest(study=study, metric=metric)
        return records_of(self._call(self.stubs.laws.Verify, request, _LONG).verifications)

    def optimal(self, law: LawReference, *, flops: Optional[float] = None, target: Optional[float] = None,
                cost: Optional[TrainingCost] = None, served_samples: float = 0, passes_per_served_sample: float = 0,
                max_samples: float = 0, min_params: float = 0, max_params: float = 0,
                sizes: Sequence[Union[float, Size]] = (), batch: float = 0, off_factors: Sequence[float] = (),
                tolerance: Optional[float] = None, at: Optional[Mapping[str, float]] = None) -> Optimum:
        """The best size and data by a law over both: for `flops` to spend, or the fewest FLOPs to reach `target`.

        served_samples: that the trained model will serve. sizes: only these. batch: samples per step, to tell the steps.
        at: where the law's other columns are held. A limit of 0 is none.
        """
        request = _message(
            laws_pb2.OptimalRequest, law=_reference(law), flops=flops, target=target, cost=_cost(cost),
            served_samples=served_samples, passes_per_served_sample=passes_per_served_sample, max_samples=max_samples,
            min_params=min_params, max_params=max_params, sizes=[_size(size) for size in sizes], batch=batch,
            off_factors=off_factors, tolerance=tolerance, at=at)
        return record_of(self._call(self.stubs.laws.Optimal, request, _LONG))

    def compare(self, a: LawReference, b: LawReference, at: Sequence[float] = (), *,
                cost_a: Optional[TrainingCost] = None, cost_b: Optional[TrainingCost] = None,
                horizon: float = 0) -> Comparison:
        """Two recipes, by what they cost for the same result at the FLOPs `at`; default: the most that both reach."""
        request = _message(laws_pb2.CompareRequest, a=_reference(a), b=_reference(b), at=at, cost_a=_cost(cost_a),
                           cost_b=_cost(cost_b), horizon=horizon)
        return record_of(self._call(self.stubs.laws.Compare, request, _LONG))

    def plan(self, law: LawReference, *, at: Optional[Mapping[str, float]] = None,
             best_params_at_flops: Optional[float] = None, flops: float = 0, half_width: Optional[float] = None,
             sizes: Sequence[float] = (), budgets: Sequence[float] = (), repeats: int = 0, max_runs: int = 0,
             cost: Optional[TrainingCost] = None, sweep_name: str = "") -> RunPlan:
        """The runs, for `flops` in all, that would narrow the prediction `at` these columns (or of the best size) most;
        `submit(plan.sweep)` trains them. half_width: of the 95 % interval that is wanted."""
        request = _message(
            laws_pb2.PlanRequest, law=_reference(law), at=at, best_params_at_flops=best_params_at_flops, flops=flops,
            half_width=half_width, sizes=sizes, budgets=budgets, repeats=repeats, max_runs=max_runs, cost=_cost(cost),
            sweep_name=sweep_name)
        return record_of(self._call(self.stubs.laws.Plan, request, _LONG))

    def rank(self, study: str, metric: str, *, forms: Sequence[str] = (), factors: Sequence[float] = (),
             bootstrap: Optional[int] = None) -> Ranking:
        """Forms by how well they predict runs larger than those they were fitted to."""
        request = _message(laws_pb2.RankRequest, runs=laws_pb2.FitRequest(study=study, metric=metric),
                           forms=_words("forms", forms), factors=factors, bootstrap=bootstrap)
        return record_of(self._call(self.stubs.laws.Rank, request, _LONG))


class Stubs:
    """The generated stubs, one per service of proto/scalelaw/v1."""

    def __init__(self, channel: grpc.Channel):
        self.sweeps: Any = sweeps_pb2_grpc.SweepsStub(channel)
        self.runs: Any = runs_pb2_grpc.RunsStub(channel)
        self.workers: Any = workers_pb2_grpc.WorkersStub(channel)
        self.laws: Any = laws_pb2_grpc.LawsStub(channel)


def _token_of_environment() -> Optional[str]:
    file = os.environ.get("SCALELAW_TOKEN_FILE")
    if not file:
        return os.environ.get("SCALELAW_TOKEN") or None
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"SCALELAW_TOKEN_FILE: {file}: {getattr(error, 'strerror', None) or error}") from error


def _message(kind: Any, **fields: Any) -> Any:
    """A message of what is given: None is not. InvalidArgument naming a field that cannot hold its value."""
    message = kind()
    for name, value in fields.items():
        if value is None:
            continue
        try:
            message.MergeFrom(kind(**{name: value}))
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"{name}: {error}") from error
    return message


def _words(name: str, words: Sequence[str]) -> List[str]:
    if isinstance(words, str):
        raise InvalidArgument(f'{name}: must be a list of words; write ["{words}"]')
    return list(words)


def _refer(message: Any, law: LawReference) -> None:
    if isinstance(law, Law):
        message.law_id = law.id
    elif isinstance(law, int):
        message.law_id = law
    else:
        message.study, message.metric = law


def _reference(law: LawReference) -> laws_pb2.LawReference:
    reference = laws_pb2.LawReference()
    _refer(reference, law)
    return reference


def _cost(cost: Optional[TrainingCost]) -> Optional[laws_pb2.TrainingCost]:
    return None if cost is None else laws_pb2.TrainingCost(**asdict(cost))


def _size(size: Union[float, Size]) -> laws_pb2.Size:
    return laws_pb2.Size(**asdict(size)) if isinstance(size, Size) else laws_pb2.Size(params=size)


def _run_state(word: str) -> runs_pb2.RunState:
    states = {name[len("RUN_STATE_"):].lower(): state for name, state in runs_pb2.RunState.items() if state}
    if word not in states:
        raise InvalidArgument(f'states: there is no "{word}"; states are {", ".join(states)}')
    return states[word]

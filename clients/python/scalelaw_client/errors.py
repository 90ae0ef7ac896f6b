"""What can go wrong, as exceptions that say what to do next."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Optional

import grpc

if TYPE_CHECKING:
    from .conversion import Records
    from .records import Run, SweepStatus

# `stages[1].grid.depth: what is wrong`, as the server and the sweep reader write it.
_FIELD = re.compile(r"(?P<field>[a-z_]\w*(?:\[\d+\])*(?:\.[\w-]+(?:\[\d+\])*)*): (?P<problem>.*)", re.DOTALL)


class ScalelawError(Exception):
    """The whole message is `str(error)`; what it is about and what helps are there by themselves where it says so.

    field: path of what is wrong in a request or sweep, such as `stages[0].grid.width`.
    problem: what is wrong with it.
    fix: what is allowed, or what to do next.
    """

    def __init__(self, message: str, fix: Optional[str] = None):
        super().__init__(message)
        match = _FIELD.fullmatch(message)
        self.field: Optional[str] = match["field"] if match else None
        problem, _, allowed = (match["problem"] if match else message).partition("; ")
        self.problem: str = problem
        self.fix: Optional[str] = fix or allowed or None


class InvalidArgument(ScalelawError, ValueError):
    """A request, or a sweep, that cannot be; nothing was stored."""


class NotFound(ScalelawError, LookupError):
    """No such study, sweep, run, law or worker."""


class NotPossible(ScalelawError):
    """Not with what there is: too few observations for a law, a law without a best size, a run that cannot be retried."""


class AccessDenied(ScalelawError, PermissionError):
    """No token, one that the server does not know, or one whose role may not do this."""


class Unreachable(ScalelawError, ConnectionError):
    """No server answers at the address, or none that this client trusts."""


class SweepFailed(ScalelawError):
    """A sweep that was waited for has ended without success. `sweep` and `failed`, its runs that did not succeed."""

    def __init__(self, sweep: SweepStatus, failed: Records[Run]):
        reasons = "".join(f"\n  run {run.id} ({run.name}) {run.state}: {run.reason}" for run in failed[:5])
        more = f"\n  and {len(failed) - 5} more" if len(failed) > 5 else ""
        super().__init__(f"sweep {sweep.id} ({sweep.name}) {sweep.state}, {sweep.runs.succeeded} of {sweep.runs.total} "
                         f"runs succeeded{reasons}{more}", fix="see logs(run), then retry(run)")
        self.sweep = sweep
        self.failed = failed


class WaitTimeout(ScalelawError, TimeoutError):
    """The time to wait is over; the sweep goes on. `sweep`: how it is doing."""

    def __init__(self, sweep: SweepStatus, seconds: float):
        super().__init__(f"sweep {sweep.id} ({sweep.name}) has not ended within {seconds:g} s: {sweep.runs.succeeded} of "
                         f"{sweep.runs.total} runs succeeded", fix="it goes on: wait() again")
        self.sweep = sweep


_CLASSES = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.RESOURCE_EXHAUSTED: InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    grpc.StatusCode.ALREADY_EXISTS: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: NotPossible,
    grpc.StatusCode.PERMISSION_DENIED: AccessDenied,
}


def from_rpc(error: grpc.RpcError, address: str) -> ScalelawError:
    """The exception for a call that failed: its code's class, its status' message."""
    code, details = error.code(), error.details() or ""
    if code == grpc.StatusCode.UNAVAILABLE:
        reason = f" ({details})" if "handshake" in details.lower() or "ssl" in details.lower() else ""
        return Unreachable(f"no server answers at {address}{reason}",
                           fix="start one with `scalelaw up --data DIR`, or name another: Client(\"HOST:PORT\"), "
                               "or SCALELAW_SERVER=HOST:PORT in the environment")
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unreachable(f"the server at {address} did not answer in time")
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return ScalelawError(f"the server at {address} does not know this request", fix="is it of another version?")
    if code == grpc.StatusCode.UNAUTHENTICATED:
        return AccessDenied(details, fix="give Client a token=, or name its file in $SCALELAW_TOKEN_FILE")
    if code in _CLASSES:
        return _CLASSES[code](details)
    return ScalelawError(f"{code.name}: {details}")

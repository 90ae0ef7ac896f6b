"""A sweep that was submitted: how it is doing, waiting for it, what came of it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Callable, Iterator, Optional, Sequence, TextIO, Union

import grpc

from .conversion import Records, record_of
from .errors import SweepFailed, WaitTimeout, from_rpc
from .records import CurvePoint, Run, SweepStatus
from .v1 import sweeps_pb2

if TYPE_CHECKING:
    from .client import Client

# How long a server may be away while a sweep is waited for: it may be restarted, and the sweep goes on.
_AWAY_SECONDS = 120.0


class Sweep:
    """Made by Client.submit and Client.sweep. `last`: its newest known status."""

    def __init__(self, client: "Client", status: SweepStatus):
        self._client = client
        self.last = status

    @property
    def id(self) -> int:
        return self.last.id

    @property
    def name(self) -> str:
        return self.last.name

    @property
    def study(self) -> str:
        return self.last.study

    def __repr__(self) -> str:
        counts = self.last.runs
        return f"<sweep {self.id} {self.name}: {self.last.state}, {counts.succeeded} of {counts.total} runs succeeded>"

    def status(self) -> SweepStatus:
        """As it is now."""
        request = sweeps_pb2.GetSweepRequest(sweep=str(self.id))
        self.last = record_of(self._client._call(self._client.stubs.sweeps.Get, request))
        return self.last

    def runs(self, *states: str) -> Records[Run]:
        """All, or those in these states: `sweep.runs("failed", "skipped")`."""
        return self._client.runs(sweep=self.id, states=states)

    def points(self, metric: str = "") -> Records[CurvePoint]:
        """The curves of all its runs, as one table."""
        return self._client.points(self.runs(), metric)

    def pause(self, *, let_running_finish: bool = False) -> SweepStatus:
        """Starts nothing more of it; running runs save a checkpoint and stop, or go on to their end."""
        request = sweeps_pb2.PauseSweepRequest(sweep=str(self.id), let_running_finish=let_running_finish)
        self.last = record_of(self._client._call(self._client.stubs.sweeps.Pause, request))
        return self.last

    def resume(self, *, limit_flops: Optional[float] = None, limit_slot_hours: Optional[float] = None) -> SweepStatus:
        """Goes on where it was paused; with other limits where they are given, 0 for none."""
        request = sweeps_pb2.ResumeSweepRequest(sweep=str(self.id), limit_flops=limit_flops,
                                                limit_slot_hours=limit_slot_hours)
        self.last = record_of(self._client._call(self._client.stubs.sweeps.Resume, request))
        return self.last

    def cancel(self) -> SweepStatus:
        """Queued runs end at once; running ones are asked to stop."""
        request = sweeps_pb2.CancelSweepRequest(sweep=str(self.id))
        self.last = record_of(self._client._call(self._client.stubs.sweeps.Cancel, request))
        return self.last

    def watch(self, *, timeout: Optional[float] = None, updates_per_second: float = 4) -> Iterator[SweepStatus]:
        """Its status at once and after each change, until it has ended; also over a restart of the server. After
        `timeout` seconds a WaitTimeout."""
        end = None if timeout is None else time.monotonic() + timeout
        request = sweeps_pb2.WatchSweepRequest(sweep=str(self.id), updates_per_second=updates_per_second)
        heard = time.monotonic()
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            snapshots = self._client.stubs.sweeps.Watch(request, timeout=left)
            try:
                for snapshot in snapshots:
                    heard = time.monotonic()
                    self.last = record_of(snapshot.sweep)
                    yield self.last
                if self.last.is_over:
                    return
            except grpc.RpcError as error:
                if timeout is not None and error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise WaitTimeout(self.last, timeout) from None
                away = error.code() == grpc.StatusCode.UNAVAILABLE
                if not away or time.monotonic() - heard > _AWAY_SECONDS:
                    raise from_rpc(error, self._client.address) from error
            finally:
                snapshots.cancel()
            time.sleep(0.5)

    def wait(self, *, timeout: Optional[float] = None, progress: Union[bool, Callable[[SweepStatus], None]] = False,
             check: bool = True) -> SweepStatus:
        """Until it has ended. Interrupting it, or a WaitTimeout after `timeout` seconds, leaves the sweep running.

        progress: True for a line on standard error; or a function of the status. check: raise SweepFailed unless the
        sweep has succeeded.
        """
        report = progress if callable(progress) else _Line(sys.stderr) if progress else None
        try:
            for status in self.watch(timeout=timeout):
                if report is not None:
                    report(status)
        finally:
            if isinstance(report, _Line):
                report.close()
        if check and self.last.state != "succeeded":
            raise SweepFailed(self.last, self.runs("failed", "skipped", "cancelled"))
        return self.last


class _Line:
    """Rewritten on a terminal; elsewhere, as in a notebook, a new one whenever a run has ended."""

    def __init__(self, out: TextIO):
        self._out = out
        self._terminal = out.isatty()
        self._shown: Sequence[object] = ()

    def __call__(self, status: SweepStatus) -> None:
        counts = status.runs
        ended = counts.succeeded + counts.failed + counts.cancelled + counts.skipped
        if not self._terminal and self._shown == (ended, status.state):
            return
        self._shown = (ended, status.state)
        parts = [f"{status.name}: {ended} of {counts.total} runs ended"]
        if counts.failed:
            parts.append(f"{counts.failed} failed")
        if counts.running:
            parts.append(f"{counts.running} running")
        if status.state != "running":
            parts.append(f"{status.state}{f' ({status.reason})' if status.reason else ''}")
        else:
            parts.append(f"{status.flops_spent:.2g} FLOPs")
            if status.seconds_left is not None:
                parts.append(f"about {status.seconds_left:.0f} s left")
        text = ", ".join(parts)
        self._out.write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")
        self._out.flush()

    def close(self) -> None:
        if self._terminal and self._shown:
            self._out.write("\n")

"""A client of scalelaw: submit sweeps, read their runs, ask their laws.

    from scalelaw_client import Client

    with Client() as client:
        sweep = client.submit("sweep.yaml")
        sweep.wait(progress=True)
        table = sweep.runs().to_dataframe()
        law = client.fit("my-study", "val_loss", x=["params", "samples"])
        print(client.optimal(law, flops=1e21).params)
"""

from .client import Client, LawReference
from .conversion import Records
from .errors import (AccessDenied, InvalidArgument, NotFound, NotPossible, ScalelawError, SweepFailed, Unreachable,
                     WaitTimeout)
from .law_records import (Comparison, Estimate, Law, Observation, Optimum, Parameter, Prediction, Ranking, RunPlan, Size,
                          TrainingCost, Verification)
from .records import CurvePoint, ImportedRun, Limits, Point, Run, SweepStatus, Worker
from .sweep import Sweep

__all__ = [
    "AccessDenied", "Client", "Comparison", "CurvePoint", "Estimate", "ImportedRun", "InvalidArgument", "Law",
    "LawReference", "Limits", "NotFound", "NotPossible", "Observation", "Optimum", "Parameter", "Point", "Prediction", "Ranking",
    "Records", "Run", "RunPlan", "ScalelawError", "Size", "Sweep", "SweepFailed", "SweepStatus", "TrainingCost",
    "Unreachable", "Verification", "WaitTimeout", "Worker",
]

#!/usr/bin/env python3
"""Metric reports per second: Optuna with SQLite storage beside scalelaw, one after the other on the same disk.

    bench/server/compare_optuna.py build/release/bin [SECONDS]

Needs Debian's python3-optuna. Optuna's reports come from one process that reports one value after the other, which is
how its trials report; scalelaw's are those of `ingest_rate`, which it runs.
"""

import logging
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna

BIN = Path(sys.argv[1])
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0


def optuna_rate(folder):
    optuna.logging.set_verbosity(logging.ERROR)
    study = optuna.create_study(storage=f"sqlite:///{folder}/optuna.db", study_name="bench")
    trial = study.ask()
    reports = 0
    start = time.monotonic()
    while time.monotonic() - start < SECONDS:
        reports += 1
        trial.report(1.0 / reports, reports)
    return reports / (time.monotonic() - start)


def main():
    with tempfile.TemporaryDirectory(prefix="scalelaw-bench-") as folder:
        theirs = optuna_rate(folder)
    print(f"Optuna {optuna.__version__} with SQLite: {theirs:.0f} reports/s", flush=True)
    ours = subprocess.run([BIN / "ingest_rate", "32", str(SECONDS)], check=True, capture_output=True, text=True).stdout
    print(ours, end="")
    rate = float(re.search(r"over gRPC\s+(\d+)", ours).group(1))
    print(f"scalelaw : Optuna = {rate / theirs:.0f} : 1 (wanted: 1000)")


main()

#!/usr/bin/python3
"""The Chinchilla law's bootstrap beside scipy, in one run on one machine.

Usage: compare_scipy.py BOOTSTRAP_SPEED_BINARY [--rounds 5] [--refits 40] [--draws 4000]
       (needs Debian's python3-scipy; the binary is built with -DSCALELAW_BENCH=ON)

scipy's side is what is published (Hoffmann et al. 2022, Besiroglu et al. 2024): Huber's δ = 1e-3 on the residuals of
log L, the curve as the log-sum-exp of (a − α·ln N, b − β·ln D, e), minimised by BFGS with the analytic gradient. It
starts at the optimum of all rows (a warm start, one local search), one thread. Ours does the full global search for
each draw. Scipy's refits are timed and scaled to the number of draws; ours are run in full by BOOTSTRAP_SPEED_BINARY.
The two take turns, and the median round counts: the machine's clock and its other work change by the second.
"""
import argparse
import csv
import pathlib
import statistics
import subprocess
import time

import numpy
from scipy.optimize import minimize

DELTA = 1e-3
CSV = pathlib.Path(__file__).resolve().parents[2] / "tests" / "analysis" / "data" / "chinchilla.csv"


def read():
    with open(CSV, newline="") as file:
        rows = numpy.array([[float(v) for v in row] for row in list(csv.reader(file))[1:]])
    return numpy.log(rows[:, 1]), numpy.log(rows[:, 2]), numpy.log(rows[:, 3])


def objective(p, log_n, log_d, log_loss):
    """Value and gradient by p = (a, b, e, α, β)."""
    terms = numpy.stack((p[0] - p[3] * log_n, p[1] - p[4] * log_d, numpy.full_like(log_n, p[2])))
    top = terms.max(axis=0)
    share = numpy.exp(terms - top)
    total = share.sum(axis=0)
    share /= total
    residual = top + numpy.log(total) - log_loss
    size = numpy.abs(residual)
    inner = size <= DELTA
    value = numpy.where(inner, residual * residual / 2, DELTA * (size - DELTA / 2)).sum()
    slope = numpy.clip(residual, -DELTA, DELTA)
    by_term = share * slope
    gradient = numpy.array([by_term[0].sum(), by_term[1].sum(), by_term[2].sum(),
                            -(by_term[0] * log_n).sum(), -(by_term[1] * log_d).sum()])
    return value, gradient


def refit(start, data):
    return minimize(objective, start, args=data, jac=True, method="BFGS", options={"maxiter": 1000, "gtol": 1e-8})


def run_ours(binary, draws, most_rows):
    """Its figures by name, and its table of rows."""
    output = subprocess.run([binary, str(draws), "0", str(most_rows)], check=True, capture_output=True, text=True).stdout
    head, _, table = output.partition("\n\n")
    return {name: float(value) for name, value in map(str.split, head.splitlines())}, table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--refits", type=int, default=40, help="scipy refits that are timed in each round")
    parser.add_argument("--draws", type=int, default=4000)
    options = parser.parse_args()

    log_n, log_d, log_loss = read()
    best = None
    for e in (-1.0, 0.0, 1.0):
        for alpha in (0.2, 0.5, 1.0):
            start = [alpha * 18, alpha * 22, e, alpha, alpha]
            fitted = refit(start, (log_n, log_d, log_loss))
            fitted = refit(fitted.x, (log_n, log_d, log_loss))
            if best is None or fitted.fun < best.fun:
                best = fitted
    print(f"scipy, all {len(log_n)} rows: objective {best.fun:.10f}, alpha {best.x[3]:.5f}, beta {best.x[4]:.5f}")

    random = numpy.random.default_rng(0)
    rounds = []
    for _ in range(options.rounds):
        drawn = [random.integers(0, len(log_n), len(log_n)) for _ in range(options.refits)]
        wall, cpu = time.perf_counter(), time.process_time()
        for rows in drawn:
            refit(best.x, (log_n[rows], log_d[rows], log_loss[rows]))
        scale = options.draws / options.refits
        theirs = scale * (time.perf_counter() - wall), scale * (time.process_time() - cpu)
        ours = run_ours(options.binary, options.draws, 0)[0]
        rounds.append((theirs[0] / ours["bootstrap_wall_s"], theirs[1] / ours["bootstrap_cpu_s"], theirs[0], ours))
        print(f"scipy, {options.draws} warm BFGS refits: {theirs[0]:.1f} s; scalelaw, each a global search: "
              f"{ours['bootstrap_wall_s']:.4f} s ({ours['bootstrap_cpu_s']:.3f} s cpu): {rounds[-1][0]:.0f} ×")
    print(f"median of {options.rounds} rounds: {statistics.median(r[0] for r in rounds):.0f} × by the clock, "
          f"{statistics.median(r[1] for r in rounds):.0f} × by cpu time; best of either: "
          f"{min(r[2] for r in rounds) / min(r[3]['bootstrap_wall_s'] for r in rounds):.0f} × by the clock\n")

    ours, table = run_ours(options.binary, options.draws, 1_000_000)
    print(f"scalelaw, single fit: {ours['single_fit_wall_ms']:.2f} ms")
    print(f"scalelaw, broken power law with one break, 64 points: {ours['broken_power_wall_ms']:.1f} ms\n")
    print(table)


if __name__ == "__main__":
    main()

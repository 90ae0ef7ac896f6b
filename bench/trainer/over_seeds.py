#!/usr/bin/env python3
"""The last values of a study's runs, seeds averaged, as a Markdown table: mean and 95 % interval of the mean.

    bench/trainer/over_seeds.py my-data/scalelaw.db STUDY --metric alignment [METRIC ...] [--by tgate_step ...]
        [--stage density]

`--by`: parameters, `budget` (FLOPs) or `stage` that tell rows apart. The interval is Student's t over the seeds.
"""
import argparse
import collections
import json
import math
import sqlite3
import statistics

# Student's t, two-sided 95 %, by degrees of freedom.
T95 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262]


def interval(values):
    """Mean and half the width of its interval, none for a single value."""
    mean = statistics.fmean(values)
    if len(values) == 1:
        return mean, None
    freedom = min(len(values) - 1, len(T95))
    return mean, T95[freedom - 1] * statistics.stdev(values) / math.sqrt(len(values))


def shown(values):
    mean, half = interval(values)
    return f"{mean:.4g}" if half is None else f"{mean:.4g} ± {half:.2g}"


def plain(value):
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database")
    parser.add_argument("study")
    parser.add_argument("--metric", nargs="+", required=True)
    parser.add_argument("--by", nargs="*", default=[])
    parser.add_argument("--stage")
    args = parser.parse_args()
    database = sqlite3.connect(f"file:{args.database}?mode=ro", uri=True)
    rows = database.execute(
        "select o.metric, o.value, o.budget_flops, o.stage, r.run_params from v_observations o join v_runs r"
        " using (run_id) where o.study = ? and (? is null or o.stage = ?)", (args.study, args.stage, args.stage))
    groups = collections.defaultdict(lambda: collections.defaultdict(list))
    for metric, value, budget, stage, params in rows:
        known = {**json.loads(params), "budget": budget, "stage": stage}
        groups[tuple(known.get(name, "") for name in args.by)][metric].append(value)
    print("| " + " | ".join([*args.by, *args.metric, "seeds"]) + " |")
    print("|---" * (len(args.by) + len(args.metric) + 1) + "|")
    for key in sorted(groups, key=lambda key: [(isinstance(k, str), k) for k in key]):
        found = groups[key]
        cells = [shown(found[metric]) if metric in found else "" for metric in args.metric]
        print("| " + " | ".join([*map(plain, key), *cells, str(max(map(len, found.values())))]) + " |")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Predicts from a law's document (scalelaw fit --out law.json) without scalelaw, as docs/laws.md describes.

Usage: predict_from_law.py law.json params=7e10 samples=1.4e12

A law of another form needs its curve in CURVES: the formula is in the table of docs/laws.md, and `parameter_order` says
which number is which.
"""
import json
import math
import statistics
import sys

CURVES = {
    "power": lambda p, x: p[0] * x[0] ** p[1],
    "power-floor": lambda p, x: p[0] + p[1] * x[0] ** -p[2],
    "var-power": lambda p, x: (p[0] * x[0]) ** p[1],
    "chinchilla": lambda p, x: p[0] + p[1] * x[0] ** -p[3] + p[2] * x[1] ** -p[4],
}
LINKS = {
    "sigmoid": lambda p, loss: p[0] + (p[1] - p[0]) / (1 + math.exp((loss - p[2]) / p[3])),
    "exponential": lambda p, loss: p[0] - p[1] * math.exp(-p[2] * loss),
}
LINK_PARAMETERS = {"sigmoid": 4, "exponential": 3}


def curve(form, parameters, x):
    if ">" not in form:
        return CURVES[form](parameters, x)
    loss, link = form.split(">")
    own = LINK_PARAMETERS[link]
    return LINKS[link](parameters[-own:], CURVES[loss](parameters[:-own], x))


def measurements(form, draws, x, log):
    """Four new runs for each draw."""
    for d, draw in enumerate(draws):
        value = curve(form, draw["parameters"], x)
        for j in range(4):
            u = (j + math.fmod((d + 0.5) * 0.61803398874989485, 1)) / 4
            noise = draw["sigma"] * statistics.NormalDist().inv_cdf(u)
            yield value * math.exp(noise) if log else value + noise


def predict(law, at):
    x = [at[column] for column in law["x"]]
    rivals = law["uncertainty"]["rivals"]
    log = law["objective"]["residual"] == "log"
    runs = list(measurements(law["law"], law["draws"][: law["uncertainty"]["own_draws"] if rivals else None], x, log))
    for rival in rivals:
        runs += measurements(rival["law"], rival["draws"], x, log)
    bounds = law.get("bounds")
    if bounds and bounds["chance"] >= 0 and bounds["ceiling"] <= 1:
        runs = [min(max(run, 0), 1) for run in runs]
    runs.sort()
    low95, high95, low50, high50 = (runs[int(q * (len(runs) - 1) + 0.5)] for q in (0.025, 0.975, 0.25, 0.75))
    value = curve(law["law"], [law["parameters"][name]["value"] for name in law["parameter_order"]], x)
    return {"value": value, "low50": low50, "high50": high50, "low95": low95, "high95": high95}


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    place = {name: float(number) for name, number in (word.split("=") for word in sys.argv[2:])}
    print(json.dumps(predict(document, place)))

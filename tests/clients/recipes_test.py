"""docs/sql-recipes.md: every recipe gives rows on a real server's database, in Python and by sqlite3 alike."""

import json
import re
import sqlite3
import subprocess
import unittest

from scalelaw_client import Client
from service import BIN, SOURCE, Service, eventually

RECIPES = dict(re.findall(r"^## (.+?)\n(?:[^#]*?)```sql\n(.*?)```", (SOURCE / "docs/sql-recipes.md").read_text(),
                          re.MULTILINE | re.DOTALL))
PARAMETERS = {"study": "base", "metric": "val_loss"}


class Recipes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = cls.enterClassContext(Service()).start_server()
        subprocess.run([BIN / "fill_study", cls.service.address, "ladders"], check=True)
        cls.client = cls.enterClassContext(Client(cls.service.address))
        cls.law = cls.client.fit("base", "val_loss", x=["flops"], form="power-floor", bootstrap=50)
        cls.service.start_worker()
        counting = ["python3", SOURCE / "tests/e2e/counting_trainer.py"]
        cls.client.submit({"name": "own", "study": "own", "stages": [
            {"name": "failing", "command": ["sh", "-c", "echo no luck; exit 3"], "budget": {"steps": 1}, "retries": {"max": 0}},
            {"name": "rising", "command": [*counting], "params": {"step_seconds": 0, "steps": 4},
             "grid": {"width": [8, 16]}, "seeds": [1, 2], "budget": {"steps": 4}},
            {"name": "homeless", "command": ["true"], "budget": {"steps": 2}, "resources": {"labels": {"gpu": "h100"}}}]})
        eventually("the runs have ended", lambda: cls.service.sql(
            "select 1 from v_runs where study = 'own' group by study having sum(state in ('succeeded', 'failed')) = 5"))
        cls.db = sqlite3.connect(f"file:{cls.service.data}/scalelaw.db?mode=ro", uri=True)
        cls.db.row_factory = sqlite3.Row
        cls.addClassCleanup(cls.db.close)

    def rows(self, recipe, **parameters):
        return [dict(row) for row in self.db.execute(RECIPES[recipe], {**PARAMETERS, **parameters})]

    def observations(self, holdout=False):
        return [o for o in self.client.observations("base", "val_loss") if o.holdout == holdout]

    def test_every_recipe_gives_rows_in_python_and_by_sqlite3(self):
        self.assertGreater(len(RECIPES), 15)
        text = (SOURCE / "docs/sql-recipes.md").read_text()
        self.assertEqual(len(RECIPES), text.count("```sql"), "a recipe has no title of its own")
        # There is nothing of that in these runs; each has a test of its own.
        empty = {"Runs whose loss went up again"}
        for title, recipe in RECIPES.items():
            with self.subTest(title):
                found = self.rows(title)
                self.assertEqual(bool(found), title not in empty)
                printed = subprocess.run(
                    ["sqlite3", "-readonly", "-json", "-cmd", ".parameter set :study base", "-cmd",
                     ".parameter set :metric val_loss", self.service.data / "scalelaw.db"],
                    input=recipe, capture_output=True, text=True, check=True)
                self.assertEqual((len(json.loads(printed.stdout or "[]")), printed.stderr), (len(found), ""))

    def test_best_sizes_and_frontier_are_those_of_the_observations(self):
        fitted = self.observations()
        best = {}
        for o in fitted:
            if o.budget_flops not in best or o.value < best[o.budget_flops].value:
                best[o.budget_flops] = o
        self.assertGreater(len(best), 3)
        self.assertEqual([(row["budget_flops"], row["params"], row["value"]) for row in self.rows("The best size at each budget")],
                         [(budget, best[budget].params, best[budget].value) for budget in sorted(best)])
        for row in self.rows("Samples per parameter of the best sizes"):
            o = best[row["budget_flops"]]
            self.assertAlmostEqual(row["samples_per_param"], o.samples / o.params)
        frontier = {o.run_id for o in fitted if all(p.value >= o.value for p in fitted if p.flops <= o.flops)}
        self.assertEqual({row["run_id"] for row in self.rows("The compute frontier")}, frontier)
        self.assertLess(len(frontier), len(fitted))
        self.assertEqual([row["run"] for row in self.rows("Held-out runs")], [o.run for o in self.observations(holdout=True)])

    def test_seeds_are_averaged(self):
        rows = self.rows("Mean and spread over seeds", study="own", metric="loss")
        # Of counting_trainer's seeds 1 and 2, both widths: 1/4 + seed.
        self.assertEqual([(row["seeds"], row["mean"]) for row in rows], [(4, 1.75)])
        self.assertAlmostEqual(rows[0]["deviation"], (1 / 3) ** 0.5)
        by_width = self.rows("What each parameter does", study="own", metric="loss")
        self.assertEqual([(row["width"], row["runs"], row["best"], row["mean"]) for row in by_width],
                         [(8, 2, 1.25, 1.75), (16, 2, 1.25, 1.75)])

    def test_curves_are_thinned_cut_and_judged(self):
        curve = self.rows("A curve in at most 100 points", study="own", metric="loss")
        self.assertEqual([row["value"] for row in curve[:4]], [2, 1.5, 1 / 3 + 1, 1.25])
        reached = self.rows("Where a run was after so many FLOPs", study="own", metric="loss")
        self.assertEqual([(row["flops"], row["value"]) for row in reached], [(240000, 1.25)] * 2 + [(240000, 2.25)] * 2)
        rising = self.client.submit({"name": "up", "study": "up", "stages": [
            {"name": "up", "command": ["sh", "-c", "for v in 3 2 4; do i=$((i+1)); echo step=$i loss=$v; done"],
             "source": {"output": ["step=(?P<step>[0-9]+) loss=(?P<loss>[0-9]+)"]}, "budget": {"steps": 3}}]})
        rising.wait(timeout=60)
        self.assertEqual([(row["lowest"], row["above"]) for row in self.rows("Runs whose loss went up again", study="up",
                                                                            metric="loss")], [(2, 1)])
        self.assertEqual(self.rows("Runs whose loss went up again", study="own", metric="loss"), [])

    def test_laws_are_those_that_were_fitted(self):
        newest = self.rows("Laws, newest first")[0]
        self.assertEqual((newest["law_id"], newest["formula"], newest["n"]), (self.law.id, self.law.formula, self.law.n))
        for row in self.rows("A law's parameters and their intervals"):
            parameter = self.law[row["parameter"]]
            self.assertEqual((row["value"], row["low95"], row["high95"]),
                             (parameter.value, parameter.ci95_low, parameter.ci95_high))

    def test_failures_and_waiting_are_told(self):
        [failed] = self.rows("What failed, and why")
        self.assertIn("no luck", failed["reason"])
        [waiting] = self.rows("What waits")
        self.assertEqual((waiting["sweep"], waiting["stage"], waiting["state"]), ("own", "homeless", "queued"))
        self.assertIn("gpu", self.client.runs(states=["queued"])[0].reason)
        worst = self.rows("Attempts that were lost or failed, by worker")[0]
        self.assertEqual(worst["bad"], 1)
        costs = self.rows("What a study has cost", study="own")
        self.assertEqual((costs[0]["attempts"], costs[0]["flops"]), (5, 4 * 240000))
        self.assertGreater(costs[0]["slot_hours"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)

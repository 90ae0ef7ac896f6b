"""The main job in miniature: real models of both families, laws, a held-out model, plots."""

import unittest

from service import Service

STUDY = """
name: small-law
study: diffusion
stages:
  - name: scorer
    study: scorer
    family: scorer
    budget: {{steps: [150]}}
  - name: tokenizer
    study: tokenizer
    family: var-tokenizer
    needs: {{scorer: scorer}}
    budget: {{steps: [60]}}
  - name: diffusion
    family: diffusion-dit
    needs: {{scorer: scorer}}
    params: {{depth: 1, unique_images: 4000}}
    grid: {{width: [16, 32]}}
    budget: {{flops: [1e9, 2e9, 4e9, 8e9, 1.6e10]}}
  - name: var
    study: var
    family: var
    needs: {{scorer: scorer, tokenizer: tokenizer}}
    params: {{unique_images: 4000, width_per_depth: 16}}
    grid: {{depth: [1, 2]}}
    budget: {{flops: [1e9, 2e9, 4e9, 8e9, 1.6e10]}}
"""
TARGET = STUDY.split("  - name: diffusion")[0].replace("small-law", "small-target") + """
  - name: larger
    family: diffusion-dit
    needs: {{scorer: scorer}}
    params: {{depth: 1, unique_images: 4000, width: 48}}
    budget: {{flops: [6.4e10]}}
    holdout: true
"""


class FirstLaw(unittest.TestCase):
    def test_from_sweep_to_verified_prediction(self):
        service = self.enterContext(Service()).start_server().start_worker()
        service.submit(STUDY.format(), "--wait")

        rows = service.sql("select study, budget_flops, flops, params, value from v_observations"
                           " where metric = 'val_loss' and study in ('diffusion', 'var')")
        self.assertEqual(len(rows), 20)
        for _, budget, flops, params, loss in rows:
            self.assertGreater(params, 0)
            self.assertGreater(loss, 0)
            # The last step is the last one that fits; a step of these models is below a tenth of the smallest budget.
            self.assertLessEqual(flops, budget)
            self.assertGreater(flops, 0.9 * budget)
        for metric in ("loss_last", "loss_avg", "err_last", "err_avg", "alignment"):
            self.assertEqual(len(service.sql(
                "select 1 from v_observations where study = 'var' and metric = ?", metric)), 10, metric)

        law = service.json("fit", "diffusion", "--metric", "val_loss", "--x", "flops")
        self.assertEqual(law["n"], 5)
        prediction = service.json("predict", "diffusion", "--metric", "val_loss", "--flops", "6.4e10")
        bounds = [prediction[k] for k in ("low95", "low50", "value", "high50", "high95")]
        self.assertEqual(bounds, sorted(bounds))
        self.assertAlmostEqual(prediction["extrapolation"]["flops"], 4, delta=0.5)

        answer = service.submit(TARGET.format(), "--wait", "--json", name="target.yaml")
        trained = service.sql("select count(*) from v_attempts a join v_runs r using (run_id) where r.study = 'scorer'")
        self.assertEqual(trained, [(1,)], answer.stdout)
        verification, = service.json("verify", "diffusion")["verifications"]
        self.assertTrue(verification["predicted_before"])
        self.assertGreater(verification["measured"]["value"], 0)

        # A later fit still leaves the held-out run out.
        self.assertEqual(service.json("fit", "diffusion", "--metric", "val_loss", "--x", "flops")["n"], 5)

        plots = service.root / "plots"
        service.cli("plot", "diffusion", "--out", plots)
        for plot in list(plots.glob("*.svg")) + list(plots.glob("*.png")):
            self.assertGreater(plot.stat().st_size, 2000, plot)
        self.assertGreaterEqual(len(list(plots.glob("*.svg"))), 2)

        # The same file again trains nothing.
        before = service.sql("select count(*) from v_attempts")
        service.submit(STUDY.format(), "--wait")
        self.assertEqual(service.sql("select count(*) from v_attempts"), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)

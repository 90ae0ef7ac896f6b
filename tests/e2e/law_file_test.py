"""A law's document is enough to predict, in another language and without scalelaw."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(os.environ["SCALELAW_SOURCE"])
SCALELAW = Path(os.environ["SCALELAW_BIN"]) / "scalelaw"
RUNS = SOURCE / "tests/analysis/data/chinchilla.csv"


class LawFile(unittest.TestCase):
    def check(self, fit, at):
        """The example's prediction is the command's: the value to 1e-12, bounds to Φ⁻¹'s 1e-9 in units of the noise."""
        with tempfile.TemporaryDirectory() as folder:
            law = Path(folder) / "law.json"
            subprocess.run([SCALELAW, "fit", "--csv", RUNS, "--bootstrap", "200", "--out", law, *fit], check=True,
                           capture_output=True)
            words = [f"{name}={number}" for name, number in at.items()]
            ours = json.loads(subprocess.run(
                [SCALELAW, "predict", "--law-file", law, "--json", *[w for word in words for w in ("--at", word)]],
                check=True, capture_output=True).stdout)
            example = json.loads(subprocess.run(
                [sys.executable, SOURCE / "examples/predict_from_law.py", law, *words], check=True,
                capture_output=True).stdout)
        self.assertLess(abs(example["value"] / ours["value"] - 1), 1e-12)
        for bound in ("low50", "high50", "low95", "high95"):
            self.assertLess(abs(example[bound] / ours[bound] - 1), 1e-9, bound)

    def test_a_surface(self):
        self.check(["--y", "loss", "--law", "chinchilla"], {"params": 7e10, "samples": 1.4e12})

    def test_a_curve_with_a_rival_in_its_intervals(self):
        self.check(["--x", "C", "--y", "loss", "--law", "power"], {"flops": 1e24})

    def test_a_chain(self):
        self.check(["--derive", "score=1-exp(-loss/3)", "--y", "score", "--loss", "loss", "--law",
                    "chinchilla>exponential"], {"params": 7e10, "samples": 1.4e12})


if __name__ == "__main__":
    unittest.main(verbosity=2)

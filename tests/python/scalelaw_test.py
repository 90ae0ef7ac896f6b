"""worker/python/scalelaw.py: a script with five more lines speaks the trainer protocol, and runs by hand as before."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

SOURCE = Path(os.environ["SCALELAW_SOURCE"])

SCRIPT = """
import time
import scalelaw
class Model:
    class Weight:
        def numel(self): return 100
    def parameters(self): return [Model.Weight(), Model.Weight()]
width = scalelaw.param("width", 4)
for step in scalelaw.steps(Model(), batch=10, default=7):
    scalelaw.log(loss=1 / (step + width))
    time.sleep(scalelaw.param("pause", 0.0))
scalelaw.artifact("model", "model.pt")
"""


class Script:
    """In a directory of its own, which the test removes."""

    def __init__(self, test, text=SCRIPT):
        test.addCleanup(lambda: shutil.rmtree(self.root))
        self.root = Path(tempfile.mkdtemp())
        (self.root / "script.py").write_text(text)

    def start(self, spec=None, script="script.py", **variables):
        environment = {**os.environ, "PYTHONPATH": str(SOURCE / "worker/python"), "OMP_NUM_THREADS": "1", **variables}
        if spec is not None:
            (self.root / "spec.json").write_text(json.dumps(spec))
            environment |= {"SCALELAW_SPEC": "spec.json", "SCALELAW_EVENTS": "events.jsonl"}
        return subprocess.Popen([sys.executable, script], cwd=self.root, env=environment, stderr=subprocess.PIPE,
                                text=True)

    def run(self, spec=None, **options):
        process = self.start(spec, **options)
        errors = process.communicate()[1]
        return process.returncode, errors

    def events(self, kind=None):
        path = self.root / "events.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        events = [json.loads(line) for line in lines]
        return [e for e in events if kind in (None, e["event"])]


class Helper(unittest.TestCase):
    def test_reports_what_the_protocol_asks_for(self):
        script = Script(self)
        self.assertEqual(script.run({"params": {"width": 8.0}, "budget": {"flops": 3.7e4}, "seed": 2}), (0, ""))
        self.assertEqual(script.events("start"), [{"event": "start", "params": 200, "params_total": 200,
                                                   "flops_per_sample": 1200.0, "step": 0}])
        metrics = script.events("metrics")
        self.assertEqual([m["step"] for m in metrics], [1, 2, 3])  # 12,000 FLOPs each
        self.assertEqual(metrics[-1]["samples"], 30)
        self.assertEqual(metrics[-1]["flops"], 36000.0)
        self.assertEqual(metrics[0]["values"], {"loss": 1 / 8})
        self.assertEqual(script.events("progress")[-1]["fraction"], 1.0)
        self.assertEqual(script.events("artifact")[0]["name"], "model")

    def test_runs_by_hand_without_a_coordinator(self):
        script = Script(self)
        self.assertEqual(script.run(), (0, ""))
        self.assertEqual(script.events(), [])

    def test_sigterm_ends_it_to_be_resumed(self):
        script = Script(self)
        process = script.start({"params": {"pause": 0.02}, "budget": {"steps": 10000}})
        while len(script.events("metrics")) < 3:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.communicate()
        self.assertEqual(process.returncode, 75)

    def test_a_script_that_looks_saves_first(self):
        text = SCRIPT.replace("    time.sleep", "    if scalelaw.stopping():\n        open('saved', 'w').close()\n"
                              "        scalelaw.checkpoint('saved')\n        scalelaw.resume_later()\n    time.sleep")
        script = Script(self, text)
        process = script.start({"params": {"pause": 0.02}, "budget": {"steps": 10000}})
        while len(script.events("metrics")) < 3:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.communicate()
        self.assertEqual(process.returncode, 75)
        self.assertEqual(script.events("checkpoint")[0]["step"], script.events("metrics")[-1]["step"])

    def test_a_loss_that_is_not_finite_ends_it_for_good(self):
        script = Script(self, SCRIPT.replace("1 / (step + width)", "float('nan')"))
        code, errors = script.run({"budget": {"steps": 3}})
        self.assertEqual(code, 65)
        self.assertIn("diverged at step 1: loss is nan", errors)
        self.assertEqual(script.events("metrics"), [])

    def test_a_parameter_of_the_wrong_type_is_named(self):
        code, errors = Script(self).run({"params": {"width": "wide"}})
        self.assertEqual(code, 65)
        self.assertIn("width: must be of type int, not 'wide'", errors)
        self.assertEqual(Script(self).run({"params": {"width": 4.5}})[0], 65)

    def test_only_the_first_of_several_processes_reports(self):
        script = Script(self)
        script.run({"budget": {"steps": 2}}, RANK="1")
        self.assertEqual(script.events(), [])


class Example(unittest.TestCase):
    def test_the_pytorch_example_learns_and_says_so(self):
        script = Script(self)
        code, errors = script.run({"params": {"width": 8}, "budget": {"samples": 12800}},
                                  script=str(SOURCE / "examples/own_pytorch.py"))
        self.assertEqual(code, 0, errors)
        self.assertEqual(script.events("start")[0]["params"], 784 * 8 + 8 + 8 * 10 + 10)
        (last,) = script.events("metrics")
        self.assertEqual(last["samples"], 12800)
        self.assertLess(last["values"]["val_loss"], 1.5)

    def test_it_needs_no_more_than_the_five_numbered_lines(self):
        lines = (SOURCE / "examples/own_pytorch.py").read_text().split('"""')[2].splitlines()
        numbered = [line for line in lines if re.search(r"# \d: ", line)]
        self.assertEqual(len(numbered), 5)
        self.assertEqual([line for line in lines if "scalelaw" in line], numbered)


if __name__ == "__main__":
    unittest.main()

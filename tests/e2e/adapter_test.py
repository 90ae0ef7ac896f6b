"""Scripts that know nothing of scalelaw are trained as they are, by the real programs."""

import json
import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from service import BIN, SOURCE, Service, eventually


class Adapter(unittest.TestCase):
    def setUp(self):
        self.service = self.enterContext(Service()).start_server()

    def sweep(self, script, source, name="own", grid="{width: [2, 4]}"):
        path = self.service.root / "train.py"
        path.write_text(script)
        return self.service.submit(f"""
name: {name}
study: own
stages:
  - name: train
    command: [python3, "{{here}}/train.py", "{{width}}", "{{budget_steps:d}}"]
    source: {source}
    params: {{batch: 8}}
    grid: {grid}
    budget: {{steps: [30]}}
    retries: {{max: 0}}
""", "--wait", check=False)

    def test_the_example_becomes_a_law(self):
        self.service.start_worker()
        self.service.cli("submit", SOURCE / "examples/own-unchanged.yaml", "--wait")
        runs = self.service.sql("SELECT run_params, params, samples, flops, flops_per_sample, progress FROM v_runs "
                                "WHERE study = 'unchanged'")
        self.assertEqual(len(runs), 16)
        for params, size, samples, flops, each, progress in runs:
            width = json.loads(params)["width"]
            self.assertEqual((size, each, progress), (width, 6 * width, 1))
            self.assertEqual(flops, 6 * width * samples)
            self.assertTrue(any(abs(flops / budget - 1) < 0.01 for budget in (1e5, 3e5, 1e6, 3e6)), flops)
        self.service.cli("fit", "unchanged", "--metric", "val_loss", "--x", "params,samples")

    def test_output_of_the_script_is_its_log_and_numbers_arrive_while_it_trains(self):
        self.service.start_worker()
        self.service.submit(f"""
name: live
study: own
stages:
  - name: train
    command: [python3, -u, -c, "print('step 1 loss 5'); import time; time.sleep(60)"]
    source: {{output: ['step (?P<step>[0-9]+) loss (?P<loss>[0-9]+)']}}
    budget: {{steps: [2]}}
""")
        eventually("a point while it runs", lambda: self.service.sql("SELECT value FROM v_curves") == [(5.0,)])
        self.assertIn("step 1 loss 5", self.service.cli("logs", "1").stdout)
        self.service.cli("cancel", "live")
        eventually("cancelled", lambda: self.service.sql("SELECT state FROM v_runs") == [("cancelled",)])

    def test_files_that_the_script_writes_are_read(self):
        self.service.start_worker()
        result = self.sweep("""
import sys
with open("log.txt", "w") as log:
    print({"name": "x"}, file=log)
    for step in range(1, int(sys.argv[2]) + 1):
        print({"it": step, "vL_mean": 1 / step + 1 / int(sys.argv[1])}, file=log, flush=True)
""", "{jsonl: log.txt, step: it, samples: it*batch, metrics: {val_loss: vL_mean}}")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(self.service.sql("SELECT value, samples FROM v_observations WHERE metric = 'val_loss' "
                                          "ORDER BY value"), [(1 / 30 + 1 / 4, 240), (1 / 30 + 1 / 2, 240)])

    def test_a_loss_that_is_not_finite_ends_the_run_for_good(self):
        self.service.start_worker()
        result = self.sweep("print('step=3 loss=nan', flush=True)\nimport time\ntime.sleep(60)",
                            "{output: ['step=(?P<step>.*) loss=(?P<loss>.*)']}", grid="{width: [2]}")
        self.assertEqual(result.returncode, 1)
        state, reason, attempts = self.service.sql("SELECT state, reason, attempts FROM v_runs")[0]
        self.assertEqual((state, attempts), ("failed", 1))
        self.assertIn("loss is nan at step 3", reason)

    def test_a_script_that_fails_keeps_its_exit_code_and_its_last_words(self):
        self.service.start_worker()
        self.sweep("import sys; print('no memory', file=sys.stderr); sys.exit(7)", "{jsonl: a}", grid="{width: [2]}")
        self.assertEqual(self.service.sql("SELECT exit_code FROM v_attempts"), [(7,)])
        self.assertIn("no memory", self.service.sql("SELECT reason FROM v_runs")[0][0])

    def test_a_wrong_source_is_refused_with_its_place(self):
        def refused(source, *words):
            result = self.sweep("", source)
            self.assertEqual(result.returncode, 2, result.stderr)
            for word in ("sweep.yaml:7", *words):
                self.assertIn(word, result.stderr)

        refused("{}", "exactly one of output")
        refused("{jsonl: a, csv: b}", "exactly one of output")
        refused("{output: ['loss ([0-9]+)']}", "stages[0].source.output[0]", "no named group")
        refused("{jsonl: a, params: 12*widht}", "stages[0].source.params", "no 'widht'", "width")
        refused("{jsonl: a, samples: 'step*'}", "stages[0].source.samples")
        self.assertEqual(self.service.sql("SELECT count(*) FROM v_runs"), [(0,)])

    def test_by_hand_it_stops_with_the_program(self):
        with tempfile.TemporaryDirectory() as folder:
            events = Path(folder) / "events"
            process = subprocess.Popen(
                [BIN / "scalelaw-adapt", "--output", "(?P<step>[0-9]+) (?P<loss>[0-9]+)", "--", "sh", "-c",
                 "echo 1 5; sleep 60"], env={**os.environ, "SCALELAW_EVENTS": str(events)}, start_new_session=True)
            eventually("a report", lambda: events.exists() and "metrics" in events.read_text())
            os.killpg(process.pid, signal.SIGTERM)
            self.assertEqual(process.wait(20), 75)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""kill -9 of the server, the worker and the trainers: the sweep completes, no point is lost or doubled, and no run is
trained twice to completion."""

import os
import signal
import time
import unittest

from service import SOURCE, Service, eventually, kill9

COUNTING = SOURCE / "tests/e2e/counting_trainer.py"
STEPS = 60
RUNS = 6


def counting_sweep(work):
    return f"""
name: counting
study: counting
stages:
  - name: count
    command: [python3, {COUNTING}]
    params: {{steps: {STEPS}, step_seconds: 0.03, work: {work}}}
    grid: {{size: [1, 2, 3]}}
    budget: {{steps: [{STEPS}]}}
    seeds: [1, 2]
"""


class Kill(unittest.TestCase):
    def start(self):
        service = self.enterContext(Service())
        service.start_server().start_worker()
        self.completions = service.root / "completions"
        service.submit(counting_sweep(self.completions))
        return service

    def points(self, service):
        return service.sql("select run_id, step, value from v_curves where metric = 'loss' order by run_id, step")

    def some_points(self, service):
        return eventually("points are stored", lambda: [p for p in self.points(service)] if len(
            self.points(service)) > 20 else None)

    def assert_complete_and_exact(self, service, acknowledged):
        def ended():
            state = service.json("status", "counting")["sweep"]["state"]
            self.assertNotIn(state, ("failed", "cancelled"))
            return state == "succeeded"

        eventually("the sweep succeeds", ended, 120)
        points = self.points(service)
        self.assertEqual(len(points), RUNS * STEPS)
        self.assertEqual(len({(run, step) for run, step, _ in points}), RUNS * STEPS)
        seeds = dict(service.sql("select run_id, seed from v_runs"))
        for run, step, value in points:
            self.assertAlmostEqual(value, 1.0 / step + seeds[run], places=12)
        self.assertLessEqual(set(acknowledged), set(points), "an acknowledged point is gone")
        completed = self.completions.read_text().split()
        self.assertEqual(sorted(map(int, completed)), sorted(seeds), "a run was completed twice, or never")
        self.assertEqual(service.sql("pragma integrity_check"), [("ok",)])

    def test_server(self):
        service = self.start()
        for _ in range(3):
            acknowledged = self.some_points(service)
            kill9(service.server)
            time.sleep(0.5)
            service.start_server()
            time.sleep(0.7)
        self.assert_complete_and_exact(service, acknowledged)

    def test_worker(self):
        service = self.start()
        for _ in range(2):
            acknowledged = self.some_points(service)
            kill9(service.worker)
            time.sleep(0.3)
            service.start_worker()
            time.sleep(0.7)
        self.assert_complete_and_exact(service, acknowledged)

    def test_trainers(self):
        service = self.start()
        acknowledged = self.some_points(service)
        victims = eventually("trainers run", lambda: service.trainers(r"python\S* \S*counting_trainer"))
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        self.assert_complete_and_exact(service, acknowledged)
        attempts = service.sql("select count(*) from v_attempts")[0][0]
        self.assertGreater(attempts, RUNS, "the kill hit nothing")

    def test_all_at_once(self):
        service = self.start()
        acknowledged = self.some_points(service)
        for pid in service.trainers(r"python\S* \S*counting_trainer"):
            os.kill(pid, signal.SIGKILL)
        kill9(service.worker)
        kill9(service.server)
        service.start_server().start_worker()
        self.assert_complete_and_exact(service, acknowledged)


class KillBuiltInTrainer(unittest.TestCase):
    def test_resumes_from_its_checkpoint_with_one_curve(self):
        service = self.enterContext(Service())
        service.start_server().start_worker()
        service.submit("""
name: scorer
study: scorers
stages:
  - name: scorer
    family: scorer
    params: {checkpoint_seconds: 0.2, metrics_every: 5}
    budget: {steps: [200]}
""")
        eventually("a checkpoint is reported", lambda: service.sql(
            "select 1 from v_curves where metric = 'loss' and step > 20"))
        eventually("a checkpoint exists", lambda: list(service.work.glob("runs/*/checkpoints/*")))
        for pid in eventually("the trainer runs", lambda: service.trainers(r"scalelaw-train scorer")):
            os.kill(pid, signal.SIGKILL)
        eventually("the run succeeds", lambda: service.json("status", "scorer")["sweep"]["state"] == "succeeded", 240)
        steps = [s for (s,) in service.sql("select step from v_curves where metric = 'loss' order by step")]
        self.assertEqual(len(steps), len(set(steps)))
        self.assertGreaterEqual(steps[-1], 195)
        attempts = service.sql("select count(*) from v_attempts")[0][0]
        self.assertEqual(attempts, 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)

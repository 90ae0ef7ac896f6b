"""What people report of other tools, each as a test here. (Preempted jobs of a Slurm cluster: slurm_test.py.)"""

import threading
import unittest

from service import SOURCE, Service, eventually, kill9

COUNTING = SOURCE / "tests/e2e/counting_trainer.py"


def grid(name, widths, depths, **params):
    params = "".join(f", {key}: {value}" for key, value in params.items())
    return f"""
name: {name}
study: {name}
stages:
  - name: count
    command: [python3, {COUNTING}]
    params: {{steps: 20, step_seconds: 0{params}}}
    grid: {{width: {list(range(1, widths + 1))}, depth: {list(range(1, depths + 1))}}}
    budget: {{steps: 20}}
    retries: {{max: 2, backoff_seconds: 0.05}}
"""


class ReportedFailures(unittest.TestCase):
    # wandb/wandb #3522 (one configuration started up to 442 times), #6594 (what crashed is never run again).
    def test_a_grid_runs_each_configuration_once_and_again_only_what_crashed(self):
        service = self.enterContext(Service(slots=4))
        service.start_server().start_worker()
        completions = service.root / "completions"
        sweep = grid("grid", 4, 3, fault="crash-once", work=completions)
        service.submit(sweep, "--wait")
        configurations = service.sql("select run_params, count(*) from v_runs group by 1")
        self.assertEqual([count for _, count in configurations], [1] * 12)
        attempts = service.sql("select run_id, group_concat(state) from "
                               "(select * from v_attempts order by attempt_id) group by 1")
        self.assertEqual({states for _, states in attempts}, {"failed,succeeded"})
        self.assertEqual(sorted(map(int, completions.read_text().split())), list(range(1, 13)))
        service.submit(sweep, "--wait")
        self.assertEqual(service.sql("select count(*) from v_attempts"), [(24,)])

    # ray-project/ray #7989.
    def test_a_queue_of_submitted_runs_outlasts_a_killed_server(self):
        service = self.enterContext(Service(slots=4))
        service.start_server()
        service.submit(grid("queue", 3, 2))
        kill9(service.server)
        service.start_server()
        self.assertEqual(service.json("status", "queue")["sweep"]["runs"]["queued"], 6)
        service.start_worker()
        eventually("they are all run", lambda: service.json("status", "queue")["sweep"]["state"] == "succeeded")

    # optuna/optuna #820 (`database is locked` with 32 writers), optuna/optuna-dashboard #545 (a reader kills the study).
    def test_32_writers_and_a_reader_that_never_rests_disturb_nobody(self):
        service = self.enterContext(Service(slots=32))
        service.start_server().start_worker()
        done, failures, reads = threading.Event(), [], []

        def read():
            while not done.is_set():
                try:
                    reads.append(service.sql("select count(*), sum(value) from v_curves"))
                except Exception as failure:
                    failures.append(failure)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            service.submit(grid("writers", 8, 4), "--wait")
        finally:
            done.set()
            reader.join()
        self.assertEqual(failures, [])
        self.assertGreater(len(reads), 10)
        self.assertEqual(service.sql("select count(*) from v_curves where metric = 'loss'"), [(32 * 20,)])
        self.assertNotIn("locked", service.log("server"))


if __name__ == "__main__":
    unittest.main(verbosity=2)

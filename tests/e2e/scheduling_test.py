"""Gangs, preemption, limits and backups with real processes."""

import json
import time
import unittest

from service import BIN, SOURCE, Service, eventually

COUNTING = SOURCE / "tests/e2e/counting_trainer.py"

# Rank 0 listens where MASTER_ADDR and MASTER_PORT say, the others call it: the variables do what they are for.
MEETING = """
import os, socket, time
rank, size, port = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ["MASTER_PORT"])
if rank == 0:
    server = socket.create_server(("", port))
    names = [server.accept()[0].makefile().readline().strip() for _ in range(size - 1)]
    print("met", *sorted(names), flush=True)
else:
    for _ in range(100):
        try:
            client = socket.create_connection((os.environ["MASTER_ADDR"], port))
            break
        except OSError:
            time.sleep(0.1)
    client.sendall(f"rank{rank}\\n".encode())
"""


def counting(name, steps, extra="", seeds="[1]", step_seconds=0.05):
    return f"""
name: {name}
study: counting
{extra}
stages:
  - name: count
    command: [python3, {COUNTING}]
    params: {{steps: {steps}, step_seconds: {step_seconds}, label: {name}}}
    budget: {{steps: {steps}}}
    seeds: {seeds}
"""


class Scheduling(unittest.TestCase):
    def start(self, slots=1):
        service = self.enterContext(Service(slots=slots))
        service.start_server().start_worker()
        return service

    def state(self, service, sweep):
        return service.json("status", sweep)["sweep"]["state"]

    def test_a_gang_meets_on_two_workers(self):
        service = self.start()
        service.spawn("worker2", BIN / "scalelaw-worker", "--server", service.address, "--work-dir",
                      service.root / "work2", "--slots", 1, "--name", "second")
        script = service.root / "meeting.py"
        script.write_text(MEETING)
        service.submit(f"""
name: gang
study: gang
stages:
  - name: meet
    command: [python3, {script}]
    budget: {{steps: 1}}
    resources: {{workers: 2}}
    retries: {{max: 3}}
""", "--wait")
        self.assertIn("met rank1", service.cli("logs", "1").stdout)
        ended = service.sql("select distinct worker from v_attempts where state = 'succeeded'")
        self.assertEqual(len(ended), 2)

    def test_a_preempted_run_resumes_from_its_checkpoint_with_one_curve(self):
        service = self.start()
        service.submit(counting("low", 100))
        eventually("it has a checkpoint", lambda: service.sql("select 1 from v_curves where step > 10"))
        service.submit(counting("high", 10, "priority: 5"), "--wait")
        eventually("the preempted run ends", lambda: self.state(service, "low") == "succeeded")
        steps = [step for (step,) in service.sql("select step from v_curves where sweep = 'low' order by step")]
        self.assertEqual(steps, list(range(1, 101)))
        attempts = service.sql("select attempt, a.state, a.reason from v_attempts a join v_runs using (run_id) "
                               "where sweep = 'low' order by attempt")
        self.assertEqual([(number, state) for number, state, _ in attempts], [(1, "cancelled"), (2, "succeeded")])
        self.assertIn("preempted by sweep 2 of priority 5", attempts[0][2])
        first = service.cli("logs", "1").stdout
        self.assertNotIn("Traceback", first)

    def test_a_run_resumes_on_another_worker_where_checkpoints_are_shared(self):
        service = self.enterContext(Service(slots=1))
        shared = ("--checkpoints", service.root / "shared")
        service.start_server().start_worker("--name", "first", *shared)
        service.submit(counting("moves", 60))
        eventually("it has a checkpoint", lambda: service.sql("select 1 from v_curves where step > 10"))
        service.spawn("worker2", BIN / "scalelaw-worker", "--server", service.address, "--work-dir",
                      service.root / "work2", "--slots", 1, "--name", "second", *shared)
        eventually("both are there", lambda: len(service.json("workers")["workers"]) == 2)
        service.cli("drain", "first", "--reason", "maintenance")
        service.cli("pause", "moves")
        eventually("it has stopped", lambda: service.json("status", "moves")["sweep"]["runs"]["running"] == 0)
        service.cli("resume", "moves")
        eventually("it succeeds", lambda: self.state(service, "moves") == "succeeded")
        self.assertEqual(service.sql("select worker, state from v_attempts order by attempt"),
                         [("first", "cancelled"), ("second", "succeeded")])
        self.assertIn("resumed from step", service.cli("logs", "1").stdout)
        steps = [step for (step,) in service.sql("select step from v_curves order by step")]
        self.assertEqual(steps, list(range(1, 61)))

    def test_a_sweep_pauses_at_its_limit_and_says_so(self):
        service = self.start()
        service.submit(counting("limited", 40, "limits: {slot_hours: 0.0005}"))
        eventually("it pauses", lambda: self.state(service, "limited") == "paused")
        shown = service.cli("status", "limited").stdout
        self.assertRegex(shown, r"limits.slot_hours: \S+ of 0.0005 slot-hours are spent")
        refused = service.cli("resume", "limited", check=False)
        self.assertEqual(refused.returncode, 1, refused.stderr)
        self.assertIn("raise the limit", refused.stderr)
        service.cli("resume", "limited", "--limit-slot-hours", "1")
        eventually("it succeeds", lambda: self.state(service, "limited") == "succeeded")

    def test_a_backup_is_taken_beside_a_running_sweep_and_put_back(self):
        service = self.start(slots=2)
        service.submit(counting("work", 40, seeds="[1, 2, 3, 4]"))
        eventually("points are stored", lambda: service.sql("select count(*) from v_curves")[0][0] > 20)
        copy = service.root / "copy.db"
        report = json.loads(service.cli("--json", "db", "backup", "--data", service.data, copy).stdout)
        self.assertEqual(report["problems"], [])
        self.assertGreater(report["points"], 20)
        again = service.cli("db", "backup", "--data", service.data, copy, check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("not overwritten", again.stderr)
        eventually("the sweep succeeds", lambda: self.state(service, "work") == "succeeded")
        held = service.cli("db", "restore", "--data", service.data, copy, check=False)
        self.assertEqual(held.returncode, 1)
        self.assertIn("in use by another scalelaw-server", held.stderr)
        service.server.terminate()
        service.server.wait()
        service.cli("db", "restore", "--data", service.data, copy)
        service.cli("db", "check", "--data", service.data)
        # What the copy does not know of is done again, or resumed after its checkpoint.
        service.start_server()
        eventually("the sweep succeeds again", lambda: self.state(service, "work") == "succeeded", 90)
        self.assertEqual(service.sql("select count(*) from v_runs where state = 'succeeded'"), [(4,)])
        self.assertEqual(service.sql("select count(*) from (select distinct run_id, step from v_curves)"),
                         service.sql("select count(*) from v_curves"))


if __name__ == "__main__":
    unittest.main(verbosity=2)

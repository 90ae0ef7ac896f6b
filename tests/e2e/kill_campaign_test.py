"""A campaign of kill -9 against the server, the workers and the trainers while a sweep runs: at its end every run is
complete exactly once, every acknowledged point is there exactly once, and the database is sound.

As a tool, for as long as one likes:  kill_campaign_test.py --kills 2000 --runs 500 --seed 7
"""

import argparse
import os
import random
import signal
import sys
import time
import unittest

from service import SOURCE, BIN, Service, eventually, kill9

COUNTING = SOURCE / "tests/e2e/counting_trainer.py"
STEPS = 60
WORKERS = 2
SLOTS = 3


def sweep_text(runs, completions):
    return f"""
name: campaign
study: campaign
stages:
  - name: count
    command: [python3, {COUNTING}]
    params: {{steps: {STEPS}, step_seconds: 0.1, work: {completions}}}
    budget: {{steps: {STEPS}}}
    seeds: [{", ".join(map(str, range(1, runs + 1)))}]
    # Each kill of a trainer is a failure like any other.
    retries: {{max: 1000, backoff_seconds: 0}}
"""


class Campaign:
    def __init__(self, service, kills, runs, seed):
        self.service = service
        self.kills = kills
        self.runs = runs
        self.random = random.Random(seed)
        self.completions = service.root / "completions"
        self.workers = [None] * WORKERS
        self.killed = {"server": 0, "worker": 0, "trainer": 0}

    def start_worker(self, number):
        work = self.service.root / f"work{number}"
        self.workers[number] = self.service.spawn(
            f"worker{number}", BIN / "scalelaw-worker", "--server", self.service.address, "--work-dir", work,
            "--slots", SLOTS, "--name", f"w{number}")

    def kill_one(self):
        target = self.random.choice(["server", "worker", "trainer", "trainer"])
        if target == "server":
            kill9(self.service.server)
            time.sleep(self.random.uniform(0, 0.3))
            self.service.start_server()
        elif target == "worker":
            number = self.random.randrange(WORKERS)
            kill9(self.workers[number])
            time.sleep(self.random.uniform(0, 0.3))
            self.start_worker(number)
        else:
            pids = self.service.trainers(r"python\S* \S*counting_trainer")
            if not pids:
                return
            try:
                os.kill(self.random.choice(pids), signal.SIGKILL)
            except ProcessLookupError:
                return
        self.killed[target] += 1

    def run(self, case):
        self.service.start_server()
        for number in range(WORKERS):
            self.start_worker(number)
        self.service.submit(sweep_text(self.runs, self.completions))
        eventually("trainers run", lambda: self.service.trainers(r"python\S* \S*counting_trainer"))
        while sum(self.killed.values()) < self.kills:
            self.kill_one()
            time.sleep(self.random.uniform(0, 0.25))
            if sum(self.killed.values()) % 20 == 0:
                case.assertEqual(self.state(), "running", "the sweep ended before the campaign did")
        eventually("the sweep succeeds", lambda: self.state() == "succeeded", 180)
        self.check(case)

    def state(self):
        return self.service.sql("select state from v_sweeps")[0][0]

    def story(self, run):
        attempts = self.service.sql("select attempt, attempt_id, worker, state, reason, assigned, started, finished "
                                    "from v_attempts where run_id = ? order by attempt_id", run)
        return "\n".join([f"run {run}", *map(str, attempts)])

    def check(self, case):
        points = self.service.sql("select run_id, step, value from v_curves where metric = 'loss'")
        seeds = dict(self.service.sql("select run_id, seed from v_runs"))
        case.assertEqual(len(seeds), self.runs)
        steps = {run: [] for run in seeds}
        for run, step, _ in points:
            steps[run].append(step)
        for run, found in steps.items():
            case.assertEqual(sorted(found), list(range(1, STEPS + 1)), self.story(run))
        for run, step, value in points:
            case.assertAlmostEqual(value, 1.0 / step + seeds[run], places=12)
        completed = self.completions.read_text().split()
        case.assertEqual(sorted(map(int, completed)), sorted(seeds), "a run was completed twice, or never")
        succeeded = self.service.sql("select run_id, count(*) from v_attempts where state = 'succeeded' group by 1")
        case.assertEqual(dict(succeeded), {run: 1 for run in seeds})
        case.assertEqual(self.service.sql("pragma integrity_check"), [("ok",)])
        case.assertEqual(self.service.sql("pragma foreign_key_check"), [])


class KillCampaign(unittest.TestCase):
    kills, runs, seed = 200, 50, 1

    def test_everything_is_complete_exactly_once(self):
        service = self.enterContext(Service())
        campaign = Campaign(service, self.kills, self.runs, self.seed)
        campaign.run(self)
        attempts = service.sql("select count(*) from v_attempts")[0][0]
        print(f"{campaign.killed} killed over {self.runs} runs, {attempts} attempts", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("kills", "runs", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(KillCampaign, name))
    options, rest = parser.parse_known_args()
    KillCampaign.kills, KillCampaign.runs, KillCampaign.seed = options.kills, options.runs, options.seed
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)

"""Attempts as jobs of a real two-node Slurm cluster (deploy/slurm/local-cluster), through server and worker."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from service import SOURCE, Service, eventually, kill9

COUNTING = SOURCE / "tests/e2e/counting_trainer.py"
CLUSTER = SOURCE / "deploy/slurm/local-cluster"


def free_ports(count):
    """The first of `count` neighbouring ports that nobody listens on, below those of gangs."""
    for first in range(10_000 + os.getpid() % 9_000, 20_000 - count, count):
        sockets = []
        try:
            for port in range(first, first + count):
                sockets.append(socket.create_server(("127.0.0.1", port)))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise RuntimeError("no free ports")


def slurm(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout


def cluster_jobs():
    """(id, state, nodes, name) of every job, of this test and of earlier ones."""
    lines = slurm("squeue", "--noheader", "--states=all", "--format=%i|%T|%N|%j").splitlines()
    return [tuple(line.split("|", 3)) for line in lines]


# Rank 0 listens where torchrun's variables say, the others call it. The first attempt then waits to be stopped; each
# member takes its time to save a checkpoint, rank 0 the longest.
GANG = """
import json, os, pathlib, signal, socket, sys, time
rank, size, port = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ["MASTER_PORT"])
saved = pathlib.Path(os.environ["SCALELAW_CHECKPOINT_DIR"], f"rank{rank}")
def stop(*_):
    time.sleep(0.2 if rank else 1.5)
    saved.write_text("1")
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
if rank == 0:
    server = socket.create_server(("", port))
    callers = [server.accept()[0].makefile().readline().strip() for _ in range(size - 1)]
    print("met", *callers, flush=True)
else:
    for _ in range(100):
        try:
            client = socket.create_connection((os.environ["MASTER_ADDR"], port))
            break
        except OSError:
            time.sleep(0.1)
    client.sendall(f"rank {rank} of {size}\\n".encode())
if not saved.exists():
    time.sleep(60)
    sys.exit(1)
print("resumed", flush=True)
with open(os.environ["SCALELAW_EVENTS"], "a") as events:
    for event in ({"event": "start", "params": 1, "flops_per_sample": 1},
                  {"event": "metrics", "step": 1, "samples": 1, "flops": 1, "values": {"loss": 2.0 + rank}}):
        print(json.dumps(event), file=events)
"""


def sweep(name, runs=1, steps=10, step_seconds=0.05, slots=1, retries=1, **params):
    params = json.dumps({"steps": steps, "step_seconds": step_seconds, **{k: str(v) for k, v in params.items()}})
    return f"""
name: {name}
study: {name}
stages:
  - name: count
    command: [python3, {COUNTING}]
    params: {params}
    grid: {{size: {list(range(1, runs + 1))}}}
    budget: {{steps: [{steps}]}}
    resources: {{slots: {slots}}}
    retries: {{max: {retries}, backoff_seconds: 0.1}}
"""


@unittest.skipUnless(os.getuid() == 0, "a cluster of one's own needs root")
class Slurm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = Path(tempfile.mkdtemp(prefix="scalelaw-slurm-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        started = subprocess.run([CLUSTER, "up", cls.directory, str(free_ports(5))], capture_output=True, text=True)
        cls.addClassCleanup(subprocess.run, [CLUSTER, "down", cls.directory])
        if started.returncode != 0:
            raise RuntimeError(f"no cluster: {started.stderr}")
        os.environ["SLURM_CONF"] = str(cls.directory / "slurm.conf")
        cls.addClassCleanup(subprocess.run, ["scancel", "--full", "--signal=KILL", "--user=root"], capture_output=True)
        cls.at_the_limit = cls.start_at_the_limit()

    @classmethod
    def start_at_the_limit(cls):
        """Slurm counts time limits in minutes: these runs wait for theirs while the other tests go on."""
        service = cls.enterClassContext(Service(slots=4))
        service.start_server()
        cls.start_slurm_worker(service, "--time", "1", "--grace", "5", "--sbatch-arg=--nodelist=n2")
        service.submit(sweep("patient", steps=400, step_seconds=0.1), name="patient.yaml")
        service.submit(sweep("deaf", steps=100_000, fault="deaf", retries=0), name="deaf.yaml")
        return service

    @staticmethod
    def start_slurm_worker(service, *options):
        service.start_worker("--executor", "slurm", "--slurm-poll", "0.5", *options)

    def start(self, *options, slots=8, lease=30):
        service = self.enterContext(Service(slots=slots))
        service.start_server("--lease", lease)
        self.start_slurm_worker(service, *options)
        return service

    def names(self, service):
        """Names of the jobs that this worker has, or had."""
        files = list(service.work.glob("*/*/slurm.json"))
        return {file.read_text().split('"name":"')[1].split('"')[0]: file.parent for file in files}

    def jobs(self, service):
        names = self.names(service)
        return [job for job in cluster_jobs() if job[3] in names]

    def running_job(self, service):
        def first():
            return next((job for job in self.jobs(service) if job[1] == "RUNNING"), None)

        return eventually("a job runs", first)

    def points(self, service):
        return service.sql("select run_id, step, value from v_curves where metric = 'loss' order by run_id, step")

    def attempts(self, service):
        return service.sql("select state, reason from v_attempts order by attempt_id")

    def succeeds(self, service, name, seconds=60):
        def ended():
            state = service.json("status", name)["sweep"]["state"]
            self.assertNotIn(state, ("failed", "cancelled"), self.attempts(service))
            return state == "succeeded"

        eventually(f"sweep {name} succeeds", ended, seconds)

    def fails(self, service, name):
        eventually(f"sweep {name} fails", lambda: service.json("status", name)["sweep"]["state"] == "failed")

    def test_runs_are_jobs_with_the_resources_of_their_slots(self):
        service = self.start("--gres", "gpu:h200:1", "--cpus-per-slot", "2", "--mem-per-slot", "100M", "--time", "5",
                             "--partition", "main", "--sbatch-arg=--nice=7")
        service.submit(sweep("jobs", runs=4, slots=2, steps=40))
        job = self.running_job(service)
        shown = slurm("scontrol", "show", "job", job[0])
        for part in ("NumNodes=1 NumCPUs=4", "TresPerNode=gres:gpu:h200:2", "MinMemoryNode=200M", "TimeLimit=00:05:00",
                     "Partition=main", "Nice=7", "Requeue=0", "Comment=scalelaw run "):
            self.assertIn(part, shown)
        self.succeeds(service, "jobs")
        self.assertEqual(len(self.points(service)), 4 * 40)
        self.assertEqual(len(self.jobs(service)), 4)
        worker = service.json("workers")["workers"][0]
        self.assertEqual((worker["labels"]["executor"], worker["labels"]["partition"]), ("slurm", "main"))

    def test_a_failure_is_the_trainers_and_a_cancelled_sweep_leaves_no_job(self):
        service = self.start("--gres", "gpu:4", slots=4)
        service.submit(sweep("broken", fault="not-finite", retries=0), name="broken.yaml")
        self.fails(service, "broken")
        self.assertIn("loss is not finite", self.attempts(service)[0][1])
        # Each takes a whole node: two wait.
        service.submit(sweep("cancelled", runs=4, steps=100_000), name="cancelled.yaml")
        eventually("jobs run and wait", lambda: {"RUNNING", "PENDING"} <= {job[1] for job in self.jobs(service)})
        service.cli("cancel", "cancelled")
        eventually("no job is left", lambda: not [j for j in self.jobs(service) if j[1] in ("RUNNING", "PENDING")])
        eventually("the sweep is cancelled",
                   lambda: service.json("status", "cancelled")["sweep"]["state"] == "cancelled")

    def test_scancel_fails_its_run_and_no_other(self):
        service = self.start()
        service.submit(sweep("two", runs=2, steps=60, step_seconds=0.1))
        eventually("both report", lambda: len({run for run, _, _ in self.points(service)}) == 2)
        slurm("scancel", self.running_job(service)[0])
        self.fails(service, "two")
        states = sorted(self.attempts(service))
        self.assertEqual([state for state, _ in states], ["failed", "succeeded"], states)
        self.assertIn("was cancelled by someone (scancel)", states[0][1])

    def test_restarts_of_the_worker_lose_and_double_no_job(self):
        service = self.start()
        completions = service.root / "completions"
        service.submit(sweep("restarts", runs=6, steps=60, work=completions))
        for end in (kill9, kill9, lambda worker: (worker.terminate(), worker.wait(20))):
            # At any moment: before, in and after the submission of jobs.
            time.sleep(0.25)
            end(service.worker)
            self.start_slurm_worker(service)
        self.succeeds(service, "restarts")
        self.assertEqual(len(self.points(service)), 6 * 60)
        self.assertEqual({state for state, _ in self.attempts(service)}, {"succeeded"})
        self.assertEqual(sorted(map(int, completions.read_text().split())), [1, 2, 3, 4, 5, 6])

    def test_a_job_whose_id_was_not_stored_is_found_by_its_name(self):
        service = self.start()
        service.submit(sweep("found", steps=80))
        job = self.running_job(service)
        kill9(service.worker)
        directory = self.names(service)[job[3]]
        (directory / "slurm.json").write_text(f'{{"job":"","name":"{job[3]}"}}')
        self.start_slurm_worker(service)
        self.succeeds(service, "found")
        self.assertIn(f"found Slurm job {job[0]}", service.log("worker"))
        self.assertEqual([j[0] for j in self.jobs(service)], [job[0]])

    def end_controller(self, how):
        controller = int((self.directory / "slurmctld.pid").read_text())
        os.kill(controller, how)
        eventually("slurmctld ends", lambda: not Path(f"/proc/{controller}").exists())

    def test_jobs_outlast_a_restart_of_slurmctld(self):
        service = self.start()
        service.submit(sweep("controller", runs=4, steps=80))
        self.running_job(service)
        self.end_controller(signal.SIGTERM)
        # What is submitted meanwhile waits for it.
        service.submit(sweep("meanwhile"), name="meanwhile.yaml")
        time.sleep(3)
        slurm("slurmctld")
        self.succeeds(service, "controller", 90)
        self.succeeds(service, "meanwhile", 90)
        self.assertEqual(len(self.points(service)), 4 * 80 + 10)
        self.assertEqual(len(self.jobs(service)), 5)
        self.assertEqual([state for state, _ in self.attempts(service)], ["succeeded"] * 5)

    def test_zzz_jobs_that_slurmctld_forgets_when_it_is_killed_are_neither_lost_nor_doubled(self):
        service = self.start()
        completions = service.root / "completions"
        service.submit(sweep("killed", runs=4, steps=80, work=completions))
        self.running_job(service)
        # It writes its state down every few seconds: of these jobs it may know nothing afterwards, and it gives their
        # ids to later ones. The last test, therefore.
        self.end_controller(signal.SIGKILL)
        slurm("slurmctld")
        self.succeeds(service, "killed", 120)
        # The jobs that were forgotten go on: what they do counts.
        self.assertEqual(len(self.points(service)), 4 * 80)
        self.assertEqual(sorted(map(int, completions.read_text().split())), [1, 2, 3, 4])

    def test_a_preempted_job_resumes_from_its_checkpoint(self):
        service = self.start("--sbatch-arg=--nodelist=n1")
        service.submit(sweep("preempted", steps=120))
        job = self.running_job(service)
        eventually("points are stored", lambda: len(self.points(service)) > 10)
        slurm("sbatch", "--partition=urgent", "--exclusive", "--nodelist=n1", "--output=/dev/null",
              "--wrap=sleep 1")
        self.succeeds(service, "preempted", 90)
        attempts = self.attempts(service)
        self.assertEqual([state for state, _ in attempts], ["interrupted", "succeeded"])
        self.assertIn("was preempted", attempts[0][1])
        self.assertEqual(len(self.points(service)), 120)

    def test_a_gang_is_one_job_over_both_nodes_that_resumes_as_a_whole(self):
        # Four slots on each of two nodes, and eight in all: a gang, and later a run of a larger priority in its place.
        service = self.start("--gres", "gpu:h200:1")
        gang = service.root / "gang.py"
        gang.write_text(GANG)
        service.submit(f"""
name: gang
study: gang
stages:
  - name: meet
    command: [python3, {gang}]
    budget: {{steps: 1}}
    resources: {{slots: 4, workers: 2, gpu_model: H200}}
    retries: {{max: 0}}
""", name="gang.yaml")
        job = self.running_job(service)
        self.assertEqual(job[2], "n[1-2]")
        eventually("the members have met", lambda: "met rank 1 of 2" in service.cli("logs", "1").stdout)
        service.submit(sweep("urgent", steps=5) + "priority: 5\n", "--wait", name="urgent.yaml")
        self.succeeds(service, "gang")
        attempts = service.sql("select state, reason, slots, rank from v_attempts where run_id = 1 order by attempt_id")
        self.assertEqual([attempt[0] for attempt in attempts], ["cancelled", "succeeded"])
        self.assertIn("preempted by sweep 2 of priority 5", attempts[0][1])
        self.assertEqual([attempt[2:] for attempt in attempts], [(8, 0), (8, 0)])
        self.assertIn("resumed", service.cli("logs", "1").stdout)
        self.assertEqual(service.sql("select value from v_curves where run_id = 1"), [(2.0,)])

    def test_a_lost_node_costs_its_run_nothing(self):
        service = self.start("--sbatch-arg=--nodelist=n1")
        service.submit(sweep("node", steps=120, retries=0))
        self.running_job(service)
        eventually("a checkpoint exists", lambda: list(service.work.glob("runs/*/checkpoints/step.txt")))
        slurm("scontrol", "update", "nodename=n1", "state=down", "reason=test")
        try:
            eventually("the loss is noticed", lambda: len(self.attempts(service)) > 1)
        finally:
            # Back by itself as soon as its daemon says that it lives, or else now.
            subprocess.run(["scontrol", "update", "nodename=n1", "state=resume"], capture_output=True)
        self.succeeds(service, "node", 90)
        attempts = self.attempts(service)
        self.assertIn("was lost with its machine (NODE_FAIL)", attempts[0][1])
        self.assertEqual(attempts[-1][0], "succeeded")

    def test_a_job_that_the_queue_has_forgotten_is_in_the_accounts(self):
        # slurmctld forgets once a minute.
        service = self.start(lease=300)
        service.submit(sweep("forgotten", steps=100_000))
        job = self.running_job(service)
        eventually("it reports", lambda: self.points(service))
        service.worker.terminate()
        service.worker.wait(20)
        slurm("scancel", "--full", "--signal=KILL", job[0])
        self.set_min_job_age(2)
        try:
            eventually("the job is forgotten", lambda: job[0] not in {j[0] for j in cluster_jobs()}, 100)
        finally:
            self.set_min_job_age(300)
        self.start_slurm_worker(service)
        self.fails(service, "forgotten")
        self.assertIn(f"Slurm job {job[0]} on {job[2]} was cancelled by someone", self.attempts(service)[0][1])

    def set_min_job_age(self, seconds):
        conf = self.directory / "slurm.conf"
        conf.write_text(re.sub(r"MinJobAge=\d+", f"MinJobAge={seconds}", conf.read_text()))
        slurm("scontrol", "reconfigure")

    def test_what_sbatch_refuses_is_said_in_its_words(self):
        service = self.start("--partition", "nowhere")
        service.submit(sweep("refused"))
        eventually("it is refused", lambda: [a for a in self.attempts(service) if a[0] == "failed"])
        self.assertIn("invalid partition specified: nowhere", self.attempts(service)[0][1])

    def test_zz_at_the_time_limit_trainers_checkpoint_or_fail(self):
        service = self.at_the_limit
        eventually("the deaf one is killed", lambda: service.json("status", "deaf")["sweep"]["state"] == "failed", 150)
        reasons = dict(service.sql("select v_runs.sweep, v_attempts.reason from v_attempts join v_runs using (run_id)"
                                   " where attempt = 1"))
        self.assertIn("reached its time limit", reasons["deaf"])
        self.assertIn("the time limit of its job was near; a checkpoint is saved", reasons["patient"])
        self.succeeds(service, "patient", 150)
        steps = [step for (step,) in service.sql(
            "select step from v_curves where metric = 'loss' and sweep = 'patient' order by step")]
        self.assertEqual(steps, list(range(1, 401)))


if __name__ == "__main__":
    unittest.main(verbosity=2)

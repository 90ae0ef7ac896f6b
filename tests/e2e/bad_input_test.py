"""Whatever goes wrong gets a clear error, and nothing is lost."""

import os
import signal
import socket
import sqlite3
import subprocess
import time
import unittest

from service import BIN, SOURCE, Service, eventually

COUNTING = SOURCE / "tests/e2e/counting_trainer.py"


def sweep(params="", retries="{max: 0}", name="trial"):
    return f"""
name: {name}
study: trial
stages:
  - name: count
    command: [python3, {COUNTING}]
    params: {{steps: 40{params}}}
    budget: {{steps: [40]}}
    retries: {retries}
"""


class NewSweeps(unittest.TestCase):
    def test_what_init_writes_is_accepted_and_never_written_over(self):
        service = self.enterContext(Service()).start_server()
        for options, runs in ([], 13), (["--script"], 12):
            file = service.root / f"mine{len(options)}.yaml"
            service.cli("init", file, *options)
            text = file.read_text()
            self.assertIn(f"scalelaw submit {file} --wait", text)
            planned = service.json("submit", file, "--dry-run")
            self.assertEqual(len(planned["runs"]), runs)
            refused = service.cli("init", file, check=False)
            self.assertEqual(refused.returncode, 2)
            self.assertIn("--force", refused.stderr)
            self.assertEqual(file.read_text(), text)


class BadSweeps(unittest.TestCase):
    def setUp(self):
        self.service = self.enterContext(Service()).start_server()

    def refused(self, text, *words):
        result = self.service.submit(text, check=False)
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertEqual(self.service.sql("select count(*) from v_sweeps"), [(0,)])
        self.assertEqual(self.service.sql("select count(*) from v_runs"), [(0,)])

    def test_unknown_key_names_file_line_and_allowed_keys(self):
        self.refused("name: a\nstudy: s\nstages:\n  - name: one\n    famly: scorer\n", "sweep.yaml:5", "famly", "family")

    def test_broken_yaml(self):
        self.refused("name: [a\nstudy: s\n", "sweep.yaml:")

    def test_unknown_family_lists_the_families(self):
        self.refused("name: a\nstudy: s\nstages:\n  - name: one\n    family: gan\n    budget: {steps: [1]}\n",
                     "sweep.yaml:5", "stages[0].family", "scorer", "var-tokenizer", "diffusion-dit")

    def test_empty_grid(self):
        self.refused("name: a\nstudy: s\nstages:\n  - name: one\n    command: ['true']\n    grid: {width: []}\n"
                     "    budget: {steps: [1]}\n", "sweep.yaml:6", "stages[0].grid.width")

    def test_impossible_budget(self):
        self.refused("name: a\nstudy: s\nstages:\n  - name: one\n    command: ['true']\n    budget: {flops: [-1e9]}\n",
                     "sweep.yaml:6", "stages[0].budget.flops")

    def test_need_that_no_stage_meets(self):
        self.refused("name: a\nstudy: s\nstages:\n  - name: one\n    command: ['true']\n    needs: {scorer: nobody}\n"
                     "    budget: {steps: [1]}\n", "sweep.yaml:6", "stages[0].needs", "nobody")

    def test_missing_file(self):
        result = self.service.cli("submit", self.service.root / "absent.yaml", check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("absent.yaml", result.stderr)


class BadTrainers(unittest.TestCase):
    def setUp(self):
        self.service = self.enterContext(Service()).start_server().start_worker("--grace", "1")

    def run_of(self, name="trial"):
        return self.service.json("status", name)["runs"][0]

    def ended(self, name="trial"):
        return eventually("the sweep ends", lambda: (
            lambda s: s if s != "running" else None)(self.service.json("status", name)["sweep"]["state"]))

    def test_garbage_is_kept_and_the_run_succeeds(self):
        self.service.submit(sweep(", fault: garbage"))
        self.assertEqual(self.ended(), "succeeded")
        self.assertEqual(self.service.sql("select count(*) from v_curves where metric = 'loss'"), [(40,)])

    def test_loss_that_is_not_finite_fails_with_its_reason(self):
        self.service.submit(sweep(", fault: not-finite"))
        self.assertEqual(self.ended(), "failed")
        self.assertIn("not finite at step 2", self.run_of()["reason"])
        self.assertEqual(self.service.sql("select step from v_curves where metric = 'loss'"), [(1,)])

    def test_diverged_built_in_trainer_is_not_tried_again(self):
        self.service.submit("""
name: diverge
study: trial
stages:
  - name: tokenizer
    family: var-tokenizer
    params: {learning_rate: 1, clip: 1000000, warmup: 0}
    budget: {steps: [400]}
""")
        self.assertEqual(self.ended("diverge"), "failed")
        run = self.run_of("diverge")
        self.assertEqual(run["attempts"], 1)
        self.assertIn("diverged", run["reason"])

    def test_bad_parameter_of_a_built_in_trainer_names_it(self):
        self.service.submit("""
name: wrong
study: trial
stages:
  - name: scorer
    family: scorer
    params: {widht: 3}
    budget: {steps: [50]}
""")
        self.assertEqual(self.ended("wrong"), "failed")
        run = self.run_of("wrong")
        self.assertEqual(run["attempts"], 1)
        self.assertIn("widht", run["reason"])

    def test_program_not_found(self):
        self.service.submit("name: trial\nstudy: t\nstages:\n  - name: one\n    command: [no-such-program]\n"
                            "    budget: {steps: [1]}\n")
        self.assertEqual(self.ended(), "failed")
        run = self.run_of()
        self.assertIn("no-such-program", run["reason"])
        self.assertEqual(run["attempts"], 1)

    def test_trainer_that_ignores_sigterm_is_killed_on_cancel(self):
        self.service.submit(sweep(", fault: deaf, step_seconds: 1000"))
        victims = eventually("the trainer runs", lambda: self.service.trainers(r"python\S* \S*counting_trainer"))
        time.sleep(0.5)
        self.service.cli("cancel", "trial")
        self.assertEqual(self.ended(), "cancelled")
        eventually("the process is gone", lambda: not any(os.path.exists(f"/proc/{p}") for p in victims))

    def test_failing_trainer_is_tried_again_as_often_as_asked(self):
        self.service.submit("name: trial\nstudy: t\nstages:\n  - name: one\n    command: [sh, -c, 'echo no luck; exit 3']\n"
                            "    budget: {steps: [1]}\n    retries: {max: 2, backoff_seconds: 0.1}\n")
        self.assertEqual(self.ended(), "failed")
        run = self.run_of()
        self.assertEqual(run["attempts"], 3)
        self.assertEqual(run["exit_code"], 3)
        self.assertIn("no luck", run["reason"])

    def test_drained_worker_hands_its_run_to_the_next(self):
        self.service.submit(sweep(", step_seconds: 0.1", retries="{max: 0}"))
        eventually("points are stored", lambda: self.service.sql("select 1 from v_curves where step > 6"))
        self.service.worker.send_signal(signal.SIGTERM)
        self.assertEqual(self.service.worker.wait(30), 0)
        self.service.start_worker()
        self.assertEqual(self.ended(), "succeeded")
        steps = [s for (s,) in self.service.sql("select step from v_curves where metric = 'loss' order by step")]
        self.assertEqual(steps, list(range(1, 41)))


class FullDisk(unittest.TestCase):
    """A real full disk: a tmpfs of a few megabytes."""

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount a small tmpfs")
        self.service = self.enterContext(Service())

    def mount(self, path, size):
        path.mkdir(parents=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True)
        if done.returncode != 0:
            self.skipTest("tmpfs cannot be mounted here: " + done.stderr.decode())
        self.addCleanup(subprocess.run, ["umount", "-l", str(path)])

    def fill(self, directory):
        filler = directory / "filler"
        # A checkpoint that takes the place of an earlier one frees that one's space: until it stays full.
        until = None
        with open(filler, "wb", buffering=0) as out:
            while until is None or time.monotonic() < until:
                try:
                    out.write(b"\0" * 4096)
                except OSError:
                    until = until or time.monotonic() + 1
                    time.sleep(0.005)
        return filler

    def state(self):
        return self.service.json("status", "trial")["sweep"]["state"]

    def test_of_the_server_holds_back_and_recovers_with_every_point(self):
        self.mount(self.service.data, "24m")
        self.service.start_server().start_worker()
        self.service.submit(sweep(", step_seconds: 0.05"))
        eventually("points are stored", lambda: self.service.sql("select 1 from v_curves"))
        filler = self.fill(self.service.data)
        time.sleep(4)
        self.assertIsNone(self.service.server.poll(), "the server must survive a full disk")
        self.assertIn("full", self.service.log("server").lower())
        filler.unlink()
        eventually("the sweep succeeds", lambda: self.state() == "succeeded")
        steps = [s for (s,) in self.service.sql("select step from v_curves where metric = 'loss' order by step")]
        self.assertEqual(steps, list(range(1, 41)))

    def test_of_a_trainer_is_named_and_the_run_goes_on_when_space_returns(self):
        self.mount(self.service.work, "32m")
        self.service.start_server().start_worker()
        self.service.submit("""
name: trial
study: trial
stages:
  - name: scorer
    family: scorer
    params: {checkpoint_seconds: 0.1, metrics_every: 5}
    budget: {steps: [600]}
    retries: {max: 0}
""")
        eventually("a checkpoint exists", lambda: list(self.service.work.glob("runs/*/checkpoints/*.pt")))
        filler = self.fill(self.service.work)
        reason = eventually("the run says why it waits", lambda: (lambda run: run["state"] == "queued" and run["reason"])(
            self.service.json("status", "trial")["runs"][0]))
        self.assertIn("disk", reason)
        self.assertIn("full", reason)
        filler.unlink()
        eventually("the sweep succeeds", lambda: self.state() == "succeeded", 120)
        starts = self.service.sql("select count(*), count(distinct step) from v_curves where metric = 'loss'")
        self.assertEqual(starts, [(120, 120)])


class BadSurroundings(unittest.TestCase):
    def test_unreachable_server_says_where_it_looked_and_how_to_start_one(self):
        result = subprocess.run([BIN / "scalelaw", "--server", "127.0.0.1:9", "status"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 3)
        self.assertIn("127.0.0.1:9", result.stderr)
        self.assertIn("scalelaw up", result.stderr)

    def test_port_in_use(self):
        service = self.enterContext(Service())
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            result = subprocess.run([BIN / "scalelaw-server", "--data", service.data, "--listen", f"127.0.0.1:{port}"],
                                    capture_output=True, text=True, timeout=20)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(str(port), result.stderr)
        self.assertIn("in use", result.stderr)

    def test_second_server_on_the_same_data(self):
        service = self.enterContext(Service()).start_server()
        result = subprocess.run([BIN / "scalelaw-server", "--data", service.data, "--listen", "127.0.0.1:0"],
                                capture_output=True, text=True, timeout=20)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(str(service.server.pid), result.stderr)

    def test_database_of_a_newer_schema_is_left_alone(self):
        service = self.enterContext(Service())
        service.data.mkdir()
        path = service.data / "scalelaw.db"
        with sqlite3.connect(path) as connection:
            connection.execute("create table future(x)")
            connection.execute("pragma user_version = 9999")
        before = path.read_bytes()
        result = subprocess.run([BIN / "scalelaw-server", "--data", service.data, "--listen", "127.0.0.1:0"],
                                capture_output=True, text=True, timeout=20)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("9999", result.stderr)
        self.assertIn("newer", result.stderr)
        self.assertEqual(path.read_bytes(), before)

    def test_file_that_is_no_database_is_left_alone(self):
        service = self.enterContext(Service())
        service.data.mkdir()
        path = service.data / "scalelaw.db"
        path.write_bytes(b"my thesis, not a database\n" * 100)
        result = subprocess.run([BIN / "scalelaw-server", "--data", service.data, "--listen", "127.0.0.1:0"],
                                capture_output=True, text=True, timeout=20)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("scalelaw.db", result.stderr)
        self.assertTrue(path.read_bytes().startswith(b"my thesis"))


if __name__ == "__main__":
    unittest.main(verbosity=2)

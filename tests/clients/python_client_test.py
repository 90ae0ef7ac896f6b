"""The package scalelaw_client against a real server and worker."""

import dataclasses
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from concurrent import futures
from pathlib import Path
from unittest import mock

import grpc

from scalelaw_client import (AccessDenied, Client, ImportedRun, InvalidArgument, Limits, NotFound, NotPossible, Point,
                             Size, Sweep, SweepFailed, TrainingCost, Unreachable, WaitTimeout, connection, conversion,
                             errors, imports)
from scalelaw_client.sweep_spec import sweep_spec
from scalelaw_client.v1 import laws_pb2, runs_pb2, sweeps_pb2, sweeps_pb2_grpc, workers_pb2
from service import SOURCE, Service, eventually, kill9

README = (SOURCE / "clients/python/README.md").read_text()
COUNTING = SOURCE / "tests/e2e/counting_trainer.py"


def sweep(name, seeds=(1, 2), sizes=(1, 2, 4, 8), command=("python3", str(COUNTING)), **params):
    return {"name": name, "study": name, "stages": [
        {"name": "count", "command": command, "params": {"steps": 10, "step_seconds": 0, **params}, "grid": {"size": sizes},
         "budget": {"steps": 10}, "seeds": seeds, "retries": {"max": 0}}]}


def loss(params, samples):
    return 1.7 + 400 * params**-0.34 + 410 * samples**-0.28


def runs_of_a_ladder():
    """Every size with every amount of data, 0.1 % of noise, and a larger one to hold out."""
    noise = random.Random(7)
    ladder = [(2**i * 1e6, 2**j * 1e8, False) for i in range(6) for j in range(6)] + [(1e9, 1e11, True)]
    for n, d, holdout in ladder:
        end = Point(step=1000, samples=int(d), flops=6 * n * d, value=loss(n, d) * noise.lognormvariate(0, 1e-3))
        yield ImportedRun(key=f"n{n:g} d{d:g}", params={"size": n}, model_params=n, curves={"loss": [end]}, holdout=holdout)


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = cls.enterClassContext(Service()).start_server().start_worker()
        cls.client = cls.enterClassContext(Client(cls.service.address))


class Sweeps(Live):
    def test_submits_waits_and_gives_runs_and_curves_as_records(self):
        lines = io.StringIO()
        with mock.patch.object(sys, "stderr", lines):
            submitted = self.client.submit(sweep("records"))
            status = submitted.wait(timeout=60, progress=True)
        self.assertEqual((status.state, status.runs.succeeded, status.study), ("succeeded", 8, "records"))
        self.assertIn("records: 8 of 8 runs ended, succeeded\n", lines.getvalue())
        runs = submitted.runs()
        self.assertEqual([(run.params["size"], run.seed) for run in runs], [(n, s) for n in (1, 2, 4, 8) for s in (1, 2)])
        run = runs[3]
        self.assertEqual((run.state, run.model_params, run.step, run.samples, run.flops, run.budget_steps, run.budget_flops),
                         ("succeeded", 2000, 10, 100, 6e5, 10, None))
        self.assertEqual(run.latest, {"loss": 2.1})
        self.assertLess(run.started, run.finished)
        self.assertEqual(self.client.run(run.id), run)
        self.assertEqual([(p.step, p.value) for p in self.client.points(run, "loss")],
                         [(step, 1 / step + 2) for step in range(1, 11)])
        self.assertEqual(len(submitted.points()), 80)
        self.assertEqual(len(self.client.observations("records", "loss")), 8)
        self.assertEqual(submitted.runs("failed"), [])
        self.assertIn("records", [status.name for status in self.client.sweeps("records")])
        self.assertEqual(self.client.sweep("records").id, submitted.id)
        self.assertEqual([worker.slots for worker in self.client.workers()], [2])

        rows = runs.rows()
        self.assertEqual((rows[3]["params.size"], rows[3]["latest.loss"], rows[3]["state"]), (2, 2.1, "succeeded"))
        try:
            import pandas
        except ImportError:
            print("pandas is not installed: DataFrames were not tried", file=sys.stderr)
        else:
            frame = runs.to_dataframe()
            self.assertEqual(frame.groupby("params.size")["latest.loss"].mean().tolist(), [1.6] * 4)
            self.assertIsInstance(submitted.points("loss").to_dataframe(), pandas.DataFrame)

    def test_without_pandas_the_error_says_what_to_install(self):
        with mock.patch.dict(sys.modules, pandas=None), self.assertRaisesRegex(ImportError, "python3-pandas.*rows()"):
            conversion.Records().to_dataframe()

    def test_a_failed_sweep_says_which_runs_and_why(self):
        submitted = self.client.submit(sweep("failing", command=["sh", "-c", "echo no luck; exit 3"], sizes=[1]))
        with self.assertRaises(SweepFailed) as failed:
            submitted.wait(timeout=60)
        self.assertIn("no luck", str(failed.exception))
        self.assertEqual([run.exit_code for run in failed.exception.failed], [3, 3])
        self.assertEqual(submitted.wait(check=False).state, "failed")
        self.assertIn("no luck", "".join(self.client.logs(failed.exception.failed[0].id)))
        self.assertIn(self.client.retry(failed.exception.failed[0].id).state, ("queued", "running"))
        with self.assertRaises(SweepFailed):
            submitted.wait(timeout=60)

    def test_waiting_ends_in_time_and_the_sweep_goes_on_until_it_is_cancelled(self):
        submitted = self.client.submit(sweep("slow", step_seconds=1000))
        with self.assertRaises(WaitTimeout) as over:
            submitted.wait(timeout=0.5)
        self.assertIsInstance(over.exception, TimeoutError)
        self.assertEqual(submitted.status().state, "running")
        with self.assertRaises(NotPossible):
            self.client.retry(submitted.runs()[0].id)
        submitted.cancel()
        self.assertEqual(submitted.wait(timeout=60, check=False).state, "cancelled")
        self.assertEqual(len(self.client.runs(sweep="slow", states=["cancelled"])), 8)

    def test_a_paused_sweep_is_waited_for_until_it_has_gone_on(self):
        spec = {**sweep("pausing", step_seconds=0.05, sizes=[1]), "limits": {"flops": 1e4}, "priority": -3,
                "order": "cheapest-first", "owner": "ada"}
        submitted = self.client.submit(spec)
        said = []
        with self.assertRaises(NotPossible):
            submitted.resume()

        def go_on(status):
            said.append(status)
            if status.state == "paused" and not status.runs.running:
                with self.assertRaisesRegex(NotPossible, "limit"):
                    submitted.resume()
                submitted.resume(limit_flops=0)

        self.assertEqual(submitted.wait(timeout=60, progress=go_on).state, "succeeded")
        self.assertIn("paused", [status.state for status in said])
        self.assertEqual((said[0].priority, said[0].owner, said[0].limits), (-3, "ada", Limits(1e4, 0)))
        paused = self.client.submit(sweep("paused", step_seconds=1000)).pause()
        self.assertEqual(paused.state, "paused")
        self.client.sweep("paused").cancel()

    def test_a_drained_worker_has_nothing_more_to_do(self):
        [worker] = eventually("the worker is there", self.client.workers)
        drained = self.client.drain(worker.name, "new driver")
        self.assertEqual((drained.state, drained.reason), ("draining", "new driver"))
        self.assertEqual(self.client.undrain(worker.id).state, "ready")

    def test_waiting_outlives_a_restart_of_the_server(self):
        service = self.enterContext(Service()).start_server().start_worker()
        client = self.enterContext(Client(service.address))
        submitted = client.submit(sweep("restart", sizes=[1, 2], step_seconds=0.1))
        seen = []

        def restart(status):
            seen.append(status)
            if len(seen) == 1:
                kill9(service.server)
                service.start_server()

        self.assertEqual(submitted.wait(timeout=60, progress=restart).state, "succeeded")

    def test_the_same_key_gives_the_same_sweep(self):
        first = self.client.submit(sweep("once"), key="k")
        self.assertEqual(self.client.submit(sweep("once"), key="k").id, first.id)

    def test_sweep_files_are_read_as_the_command_line_reads_them(self):
        files = sorted((SOURCE / "examples").glob("*.yaml"))
        self.assertGreater(len(files), 8)
        compared = 0
        for file in files:
            told = self.service.cli("submit", file, "--dry-run", "--json", check=False)
            if told.returncode != 0:
                with self.assertRaises(InvalidArgument, msg=file.name):
                    self.client.dry_run(file)
                continue
            theirs = json.loads(told.stdout)["runs"]
            ours = self.client.dry_run(file)
            self.assertEqual([(run.name, run.params, run.command) for run in ours],
                             [(run["name"], run["params"], run["command"]) for run in theirs], file.name)
            compared += 1
        self.assertGreater(compared, 8)


class Laws(Live):
    def setUp(self):
        self.client.import_runs("ladder", runs_of_a_ladder())

    def test_a_law_of_imported_runs_predicts_and_chooses(self):
        self.assertEqual(self.client.import_runs("ladder", runs_of_a_ladder()), 0, "importing twice changes nothing")
        law = self.client.fit("ladder", "loss", x=["params", "samples"], form="chinchilla", bootstrap=200)
        self.assertAlmostEqual(law["alpha"].value, 0.34, delta=0.01)
        self.assertEqual((law.x, law.n), (["params", "samples"], 36))
        self.assertIn('"draws"', law.document)
        self.assertEqual(self.client.law(law.id), law)
        self.assertEqual(self.client.laws("ladder")[0].id, law.id)

        prediction = self.client.predict(law, params=1e9, samples=1e11)
        self.assertAlmostEqual(prediction.value, loss(1e9, 1e11), delta=0.02)
        self.assertLess(prediction.low95, loss(1e9, 1e11))
        self.assertLess(loss(1e9, 1e11), prediction.high95)
        self.assertEqual(self.client.predict(("ladder", "loss"), {"params": 1e9, "samples": 1e11}), prediction)
        [held_out] = self.client.verify("ladder")
        self.assertEqual(held_out.measured.run, "n1e+09 d1e+11")
        self.assertAlmostEqual(held_out.relative_error, 0, delta=0.01)

        # N* and D* of E + A·N^−α + B·D^−β for C = 6·N·D (Hoffmann et al. 2022, eq. 4).
        best = self.client.optimal(law, flops=1e21, batch=1000, cost=TrainingCost(6))
        g = (0.34 * 400 / (0.28 * 410)) ** (1 / 0.62)
        self.assertAlmostEqual(best.params.value / (g * (1e21 / 6) ** (0.28 / 0.62)), 1, delta=0.1)
        self.assertAlmostEqual(best.steps.value * 1000 / best.samples.value, 1, places=6)
        self.assertAlmostEqual(best.params_exponent.value, 0.28 / 0.62, delta=0.02)
        chosen = self.client.optimal(law, flops=1e21, sizes=[1e9, Size("large", 4e9)])
        self.assertEqual([choice.size.name for choice in chosen.sizes][1:], ["large"])
        self.assertIsNone(chosen.params_exponent)

        compared = self.client.compare(law, law, [1e20])
        self.assertAlmostEqual(compared.at[0].multiplier.value, 1)
        plan = self.client.plan(law, at={"params": 1e10, "samples": 1e11}, flops=1e19, max_runs=3)
        self.assertTrue(plan.runs)
        self.assertIsNone(plan.sweep, "imported runs cannot be trained here")
        ranking = self.client.rank("ladder", "loss", forms=["chinchilla", "kaplan"], bootstrap=0)
        self.assertEqual(ranking.forms[0].form, "chinchilla")

    def test_long_curves_are_imported_in_parts(self):
        long = [Point(step=i, samples=i, flops=float(i), value=1 / i) for i in range(1, 30_001)]
        runs = [ImportedRun(key="long", curves={"loss": long, "score": long[:5]}), ImportedRun(key="next", curves={
            "loss": long[:3]})]
        self.assertGreater(len(list(imports.import_requests("long", "imported", runs))), 1)
        self.assertEqual(self.client.import_runs("long", runs), 2)
        first, second = self.client.runs(study="long")
        self.assertEqual([len(self.client.points(first, metric)) for metric in ("loss", "score")], [30_000, 5])
        self.assertEqual(len(self.client.points(second)), 3)
        for bad, words in ((ImportedRun(key="a", curves={}, params={"x": None}), "params.x: has no value"),
                           (ImportedRun(key="a", curves={"loss": [Point(1, 1, 1, "low")]}), "runs: a: loss: "),
                           (ImportedRun(key="a", curves={}, seed="one"), "runs: a: ")):
            with self.assertRaisesRegex(InvalidArgument, words):
                self.client.import_runs("bad", [runs[1], bad])
        with self.assertRaises(NotFound):
            self.client.observations("bad", "loss")

    def test_questions_that_cannot_be_answered_say_why(self):
        with self.assertRaises(NotFound) as error:
            self.client.fit("nothing", "loss")
        self.assertEqual((error.exception.field, error.exception.problem), ("study", "there is no study 'nothing'"))
        self.assertIn("ladder", error.exception.fix)
        with self.assertRaisesRegex(NotFound, "scalelaw fit ladder"):
            self.client.predict(("ladder", "accuracy"), flops=1e20)
        with self.assertRaises(NotPossible):
            self.client.fit("ladder", "loss", max_flops=1)
        with self.assertRaisesRegex(InvalidArgument, r'x: .*write \["flops"\]'):
            self.client.fit("ladder", "loss", x="flops")
        with self.assertRaises(InvalidArgument) as error:
            self.client.fit("ladder", "loss", bootstrap="many")
        self.assertEqual(error.exception.field, "bootstrap")
        with self.assertRaisesRegex(InvalidArgument, 'states: there is no "done"; states are waiting'):
            self.client.runs(states=["done"])
        law = self.client.fit("ladder", "loss", bootstrap=50)
        with self.assertRaisesRegex(KeyError, "the law has"):
            law["zeta"]


class BadSweeps(Live):
    def refused(self, spec, field, *words):
        with self.assertRaises(InvalidArgument) as error:
            self.client.submit(spec)
        self.assertEqual(error.exception.field, field, str(error.exception))
        for word in words:
            self.assertIn(word, str(error.exception))
        self.assertEqual(self.client.sweeps(), [])

    def stage(self, **fields):
        return {"name": "a", "study": "s", "stages": [{"name": "one", "command": ["true"], "budget": {"steps": 1}, **fields}]}

    def test_what_is_wrong_is_named_with_its_place(self):
        self.refused(self.stage(famly="var"), "stages[0]", 'did you mean "family"?', "allowed are name, study")
        self.refused(self.stage(grid={"width": []}), "stages[0].grid.width", "at least one")
        self.refused(self.stage(grid=[1]), "stages[0].grid", "must be a map")
        self.refused(self.stage(seeds=[1, 1.5]), "stages[0].seeds[1]", "whole number", "1.5")
        self.refused(self.stage(seeds=3), "stages[0].seeds", "must be a list", '"3"')
        self.refused(self.stage(command="python3 train.py"), "stages[0].command", "[python3, train.py]")
        self.refused(self.stage(params={"rate": None}), "stages[0].params.rate", "no value")
        self.refused(self.stage(params={"rate": [1, 2j]}), "stages[0].params.rate[1]", "complex")
        self.refused(self.stage(budget={"flops": "much"}), "stages[0].budget.flops[0]", "must be a number", "much")
        self.refused(self.stage(holdout="yes"), "stages[0].holdout", "true or false")
        self.refused({**self.stage(), "order": "random"}, "order", "longest-first or cheapest-first")
        self.refused(self.stage(resources={"slots": -1}), "stages[0].resources.slots", "0 to")
        self.refused(self.stage(family="gan", command=[]), "stages[0].family", "diffusion-dit")
        self.refused({"name": "a", "study": "s"}, "stages", "at least one stage")
        self.refused("name: [a\nstudy: s\n", None, "not valid YAML", "line")
        self.refused("name: a\nname: b\n", None, "name is given twice", "line 2")
        self.refused("- a\n- b\n", None, "must be a map with the keys name, study")
        self.refused(self.service.root / "absent.yaml", None, "absent.yaml", "No such file")

    def test_yaml_is_read_by_the_rules_of_sweep_files(self):
        spec = sweep_spec("""
name: 2024-01-01
stages:
  - command: [run, "{here}/x", 1e-3, true, "3"]
    params: {rate: 1e-3, mode: yes, deep: {a: [1, 0x10]}, flag: true, text: "7"}
    grid: {width: 64, depth: [1, 2]}
    budget: {flops: 1e11}
""")
        stage = spec.stages[0]
        self.assertEqual(spec.name, "2024-01-01")
        self.assertEqual(list(stage.command), ["run", f"{Path.cwd()}/x", "1e-3", "true", "3"])
        self.assertEqual(conversion._plain_struct(stage.params),
                         {"rate": 1e-3, "mode": "yes", "deep": {"a": [1, "0x10"]}, "flag": True, "text": "7"})
        self.assertEqual([(axis.key, len(axis.values)) for axis in stage.grid], [("width", 1), ("depth", 2)])
        self.assertEqual(list(stage.budget.flops), [1e11])

    def test_arrays_of_numbers_are_lists(self):
        import numpy
        spec = sweep_spec(self.stage(grid={"width": numpy.array([8, 16])}, budget={"flops": numpy.geomspace(1e9, 1e11, 3)},
                                     seeds=range(3)))
        self.assertEqual([v.number_value for v in spec.stages[0].grid[0].values], [8, 16])
        self.assertEqual((len(spec.stages[0].budget.flops), list(spec.stages[0].seeds)), (3, [0, 1, 2]))


class Connections(unittest.TestCase):
    def test_nobody_there(self):
        with Client("127.0.0.1:1") as client, self.assertRaises(Unreachable) as error:
            client.sweeps()
        self.assertIsInstance(error.exception, ConnectionError)
        self.assertIn("127.0.0.1:1", str(error.exception))
        self.assertIn("scalelaw up", error.exception.fix)

    def test_the_environment_names_the_server(self):
        with mock.patch.dict(os.environ, SCALELAW_SERVER="localhost:7"):
            self.assertEqual(Client().address, "localhost:7")
        with mock.patch.dict(os.environ):
            os.environ.pop("SCALELAW_SERVER", None)
            self.assertEqual(Client().address, "127.0.0.1:7070")

    def test_a_token_never_travels_in_the_clear(self):
        with self.assertRaisesRegex(InvalidArgument, "token: .*cluster:7070 in the clear; give root_certificates"):
            Client("cluster:7070", token="scalelaw_x")
        for address in ("127.0.0.1:7070", "[::1]:7070", "localhost:7070", "127.9.9.9:1"):
            self.assertTrue(connection.is_loopback(address), address)
        for address in ("10.0.0.1:7070", "[fe80::1]:7070", "localhost.example.org:7070"):
            self.assertFalse(connection.is_loopback(address), address)
        for bad in ("", "two words", "line\n"):
            with self.assertRaises(InvalidArgument):
                Client(token=bad)

    def test_certificates_that_cannot_be_used_are_named(self):
        with self.assertRaisesRegex(InvalidArgument, "certificate: .*key"):
            Client(certificate=b"x")
        with self.assertRaisesRegex(InvalidArgument, "root_certificates: /absent.pem: No such file"):
            Client(root_certificates="/absent.pem")


class Secured(unittest.TestCase):
    """Against a server in this process that shows what arrived: over mutual TLS, with a token."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))

        def openssl(*words):
            subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=cls.folder)

        new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        openssl(*new, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority")
        (cls.folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        for name in ("server", "ada"):
            openssl(*new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                    "2", "-extfile", "names", "-out", f"{name}.pem")

    def serve(self, credentials):
        arrived = []

        class Sweeps(sweeps_pb2_grpc.SweepsServicer):
            def List(self, request, context):
                metadata = dict(context.invocation_metadata())
                arrived.append((metadata.get("authorization"), context.auth_context().get("x509_common_name")))
                if metadata.get("authorization") != "Bearer scalelaw_good":
                    context.abort(grpc.StatusCode.UNAUTHENTICATED, "unknown token")
                return sweeps_pb2.ListSweepsResponse()

            def Watch(self, request, context):
                arrived.append(dict(context.invocation_metadata()).get("authorization"))
                context.abort(grpc.StatusCode.PERMISSION_DENIED, "viewers only look")

        server = grpc.server(futures.ThreadPoolExecutor(2))
        sweeps_pb2_grpc.add_SweepsServicer_to_server(Sweeps(), server)
        port = (server.add_secure_port("127.0.0.1:0", credentials) if credentials else
                server.add_insecure_port("127.0.0.1:0"))
        server.start()
        self.addCleanup(lambda: server.stop(None).wait())
        return f"127.0.0.1:{port}", arrived

    def test_mutual_tls_and_token(self):
        pem = {name: (self.folder / name).read_bytes() for name in ("ca.pem", "server.pem", "server.key")}
        address, arrived = self.serve(grpc.ssl_server_credentials(
            [(pem["server.key"], pem["server.pem"])], pem["ca.pem"], require_client_auth=True))
        own = {"certificate": self.folder / "ada.pem", "key": str(self.folder / "ada.key")}
        with Client(address, token="scalelaw_good", root_certificates=self.folder / "ca.pem", **own) as client:
            self.assertEqual(client.sweeps(), [])
        self.assertEqual(arrived, [("Bearer scalelaw_good", [b"ada"])])
        environment = {"SCALELAW_TLS_CA": str(self.folder / "ca.pem"), "SCALELAW_TLS_CERT": str(own["certificate"]),
                       "SCALELAW_TLS_KEY": own["key"], "SCALELAW_TOKEN": "scalelaw_good"}
        with mock.patch.dict(os.environ, environment), Client(address) as client:
            self.assertEqual(client.sweeps(), [])
        with Client(address, root_certificates=pem["ca.pem"]) as client, self.assertRaises(Unreachable):
            client.sweeps()
        with Client(address, tls=True) as client, self.assertRaisesRegex(Unreachable, address):
            client.sweeps()

    def test_a_token_within_one_machine_travels_with_calls_and_streams(self):
        address, arrived = self.serve(None)
        file = self.folder / "token"
        file.write_text("scalelaw_bad\n")
        with mock.patch.dict(os.environ, SCALELAW_TOKEN_FILE=str(file)), Client(address) as client:
            with self.assertRaisesRegex(AccessDenied, "unknown token"):
                client.sweeps()
            with self.assertRaisesRegex(AccessDenied, "viewers only look"):
                Sweep(client, conversion.record_of(sweeps_pb2.Sweep(id=1))).wait()
        self.assertEqual(arrived, [("Bearer scalelaw_bad", None), "Bearer scalelaw_bad"])


class Contract(unittest.TestCase):
    def test_a_record_has_every_field_of_its_message(self):
        messages = {m.full_name: m for module in (laws_pb2, runs_pb2, sweeps_pb2, workers_pb2)
                    for m in module.DESCRIPTOR.message_types_by_name.values()}
        self.assertGreater(len(conversion.KINDS), 25)
        for name, record in conversion.KINDS.items():
            self.assertEqual({field.name for field in dataclasses.fields(record)},
                             {field.name for field in messages[name].fields}, f"{record.__name__} of {name}")

    def test_errors_name_the_field_only_where_the_message_does(self):
        for message, field, fix in (
                ("stages[1].grid.depth[0]: must be 1 or 2; not 3", "stages[1].grid.depth[0]", "not 3"),
                ("study x has no law of 'loss' yet: fit one", None, None),
                ("law 3: broken", None, None),
                ("metric: is missing", "metric", None)):
            error = errors.InvalidArgument(message)
            self.assertEqual((str(error), error.field, error.fix), (message, field, fix))


class Package(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def run_here(self, *words, **variables):
        return subprocess.run(words, capture_output=True, text=True, cwd=self.folder,
                              env={**os.environ, "PYTHONPATH": "", **variables})

    def test_it_is_installed_as_its_readme_says_and_works_beside_the_helper_of_training_scripts(self):
        for part in ("clients/python", "proto", "worker/python"):
            shutil.copytree(SOURCE / part, self.folder / part)
        [install] = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
        # Without a network.
        pip = self.run_here("bash", "-euc", install.replace("python3 ", f"{sys.executable} "), PIP_NO_INDEX="1",
                            PIP_NO_BUILD_ISOLATION="0")
        self.assertEqual(pip.returncode, 0, pip.stdout + pip.stderr)
        for first in (0, 99):
            both = self.run_here("my-env/bin/python", "-c", f"import sys; sys.path.insert({first}, 'worker/python')\n"
                                 "import scalelaw, scalelaw_client\n"
                                 "print(scalelaw.seed, scalelaw_client.__file__.count('my-env'), scalelaw_client.Client().address)",
                                 SCALELAW_SERVER="here:1")
            self.assertEqual(both.stdout, "1 1 here:1\n", both.stderr)
        self.assertTrue(list(self.folder.glob("my-env/lib/python3*/site-packages/scalelaw_client/py.typed")))

    @unittest.skipUnless(shutil.which("mypy"), "mypy is not installed")
    def test_types_hold_and_find_mistakes(self):
        built = Path(conversion.__file__).parent.parent
        check = ("mypy", "--cache-dir", self.folder / "cache", "--config-file", SOURCE / "clients/python/pyproject.toml")
        whole = self.run_here(*check, "-p", "scalelaw_client", MYPYPATH=str(built))
        self.assertEqual(whole.returncode, 0, whole.stdout)
        (self.folder / "readme.py").write_text("".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL)))
        examples = self.run_here(*check, SOURCE / "examples/notebook.py", "readme.py", MYPYPATH=str(built))
        self.assertEqual(examples.returncode, 0, examples.stdout)
        (self.folder / "mistakes.py").write_text(
            "from scalelaw_client import Client\nfine: float = Client().predict(1, flops=1).value\n"
            "Client().predict('study')\nClient().runs(sweeep='a')\nClient().optimal(1, flops=1).steps.value\n")
        found = self.run_here(*check, "mistakes.py", MYPYPATH=str(built))
        self.assertEqual([line.split(":")[1] for line in found.stdout.splitlines()[:-1]], ["3", "4", "5"], found.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""The contracts from the outside: a Python client made from the proto, and SQL on the documented views."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from service import SOURCE, Service, eventually

COUNTING = SOURCE / "tests/e2e/counting_trainer.py"


class PythonClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Debian's python3-grpc-tools is older than its protobuf; protoc with its own plugin makes matching stubs.
        cls.stubs = cls.enterClassContext(tempfile.TemporaryDirectory())
        protos = [f"scalelaw/v1/{name}.proto" for name in ("sweeps", "runs", "workers", "laws")]
        subprocess.run(["protoc", f"-I{SOURCE}/proto", f"--python_out={cls.stubs}", f"--grpc_out={cls.stubs}",
                        "--plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin", *protos], check=True)
        sys.path.insert(0, cls.stubs)

    def test_submits_waits_and_queries(self):
        import grpc
        from scalelaw.v1 import laws_pb2, laws_pb2_grpc, runs_pb2, runs_pb2_grpc, sweeps_pb2, sweeps_pb2_grpc

        service = self.enterContext(Service()).start_server().start_worker()
        channel = self.enterContext(grpc.insecure_channel(service.address))
        sweeps = sweeps_pb2_grpc.SweepsStub(channel)
        runs = runs_pb2_grpc.RunsStub(channel)

        stage = sweeps_pb2.StageSpec(name="count", command=["python3", str(COUNTING)],
                                     budget=sweeps_pb2.Budget(steps=[10]), seeds=[1, 2])
        stage.params.update({"steps": 10})
        axis = stage.grid.add(key="size")
        for size in (1, 2, 4, 8):
            axis.values.add(number_value=size)
        spec = sweeps_pb2.SweepSpec(name="from-python", study="python", stages=[stage])
        answer = sweeps.Submit(sweeps_pb2.SubmitSweepRequest(spec=spec))
        self.assertEqual(len(answer.runs), 8)
        for snapshot in sweeps.Watch(sweeps_pb2.WatchSweepRequest(sweep="from-python"), timeout=60):
            pass
        self.assertEqual(snapshot.sweep.state, sweeps_pb2.SWEEP_STATE_SUCCEEDED)

        curve = runs.Metrics(runs_pb2.GetMetricsRequest(run_id=answer.runs[0].id, metric="loss")).curves[0]
        self.assertEqual([p.step for p in curve.points], list(range(1, 11)))

        laws = laws_pb2_grpc.LawsStub(channel)
        observations = laws.Observations(laws_pb2.ObservationsRequest(study="python", metric="loss")).observations
        self.assertEqual(len(observations), 8)

        with self.assertRaises(grpc.RpcError) as refused:
            spec.stages[0].grid[0].ClearField("values")
            sweeps.Submit(sweeps_pb2.SubmitSweepRequest(spec=spec))
        self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn("stages[0].grid.size", refused.exception.details())

    def test_health_is_serving(self):
        import grpc

        service = self.enterContext(Service()).start_server()
        channel = self.enterContext(grpc.insecure_channel(service.address))
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        self.assertEqual(check(b"", timeout=10), b"\x08\x01")


class Views(unittest.TestCase):
    def test_sqlite3_reads_every_view_while_a_sweep_runs(self):
        service = self.enterContext(Service()).start_server().start_worker()
        service.submit(f"""
name: trial
study: trial
stages:
  - name: count
    command: [python3, {COUNTING}]
    params: {{steps: 100, step_seconds: 0.05}}
    budget: {{steps: [100]}}
    seeds: [1, 2, 3]
""")
        eventually("points are stored", lambda: service.sql("select 1 from v_curves"))

        def sqlite3(query):
            return subprocess.run(["sqlite3", "-readonly", service.data / "scalelaw.db", query], check=True,
                                  capture_output=True, text=True).stdout.strip()

        self.assertEqual(sqlite3("select state from v_runs order by run_id limit 1"), "running")
        views = sqlite3("select name from sqlite_master where type = 'view' and name like 'v!_%' escape '!'").split()
        documented = (SOURCE / "docs/metrics-db.md").read_text()
        for view in views:
            sqlite3(f"select * from {view}")
            self.assertIn(f"`{view}`", documented)
        for view in ("v_runs", "v_curves", "v_observations", "v_laws", "v_workers"):
            self.assertIn(view, views)
        first = int(sqlite3("select count(*) from v_curves"))
        eventually("reading did not stop the writing", lambda: int(sqlite3("select count(*) from v_curves")) > first)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""docs/clients.md and the examples that it names do what they say, on a real server."""

import contextlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import pages
from scalelaw_client import Client
from service import SOURCE, Service


def blocks(language):
    return [block.text for block in pages.blocks("docs/clients.md", language)]


class Docs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = cls.enterClassContext(Service()).start_server().start_worker()
        # A checkout of one's own, as far as the page needs one.
        cls.checkout = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        for folder in ("examples", "proto"):
            (cls.checkout / folder).symlink_to(SOURCE / folder)
        # `python3` is the interpreter that has gRPC.
        cls.environment = {**os.environ, "SCALELAW_SERVER": cls.service.address, "MPLBACKEND": "Agg",
                           "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        cls.said = io.StringIO()
        cls.names = {}
        with (contextlib.chdir(cls.checkout), mock.patch.dict(os.environ, cls.environment),
              contextlib.redirect_stdout(cls.said)):
            for block in blocks("python"):
                if "to_dataframe" in block and importlib.util.find_spec("pandas") is None:
                    block = re.sub(r"^.*to_dataframe.*\n", "", block, flags=re.MULTILINE)
                exec(block, cls.names)
        cls.addClassCleanup(cls.names["client"].close)

    def shell(self, script):
        return subprocess.run(["bash", "-euc", script], cwd=self.checkout, env=self.environment, check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    def test_python_says_what_it_should(self):
        self.assertGreater(len(blocks("python")), 5)
        said = self.said.getvalue()
        self.assertIn("succeeded 4 ", said)
        self.assertIn("width 8: held-out loss", said)
        self.assertIn('stages[0] | unknown key "famly", did you mean "family"? | allowed are name', said)
        self.assertEqual(len(self.names["rows"]), 4)
        truth = 1.7 + 400 * 1e9**-0.34 + 410 * 2e10**-0.28
        self.assertAlmostEqual(self.names["prediction"].value, truth, places=2)
        self.assertAlmostEqual(self.names["best"].steps.value * 256, self.names["best"].samples.value, delta=1)
        self.assertIn("FLOPs ", said)

    def test_reflection_lists_describes_and_calls(self):
        [script] = [block for block in blocks("sh") if "call_by_reflection" in block]
        said = self.shell(script).splitlines()
        self.assertEqual([word for word in said if re.fullmatch(r"scalelaw\.v1\.\w+", word)],
                         [f"scalelaw.v1.{name}" for name in ("Sweeps", "Runs", "Workers", "Laws")])
        self.assertIn("scalelaw.v1.Sweeps/Watch  scalelaw.v1.WatchSweepRequest -> stream scalelaw.v1.SweepSnapshot", said)
        self.assertIn("  3 metric: string", said)
        sweeps, snapshot, prediction = [json.loads(line) for line in said if line.startswith("{")]
        self.assertEqual(sweeps["sweeps"][0]["runs"]["succeeded"], 4)
        self.assertEqual(len(snapshot["runs"]), 4)
        self.assertAlmostEqual(prediction["value"], self.names["prediction"].value)

    def test_reflection_refuses_in_words(self):
        for words, said in ((["scalelaw.v1.Sweeps/Get", '{"sweep": "absent"}'], "NOT_FOUND: sweep: .*absent"),
                            (["scalelaw.v1.Sweeps/Got"], "no method Got; it has Submit, Get"),
                            (["scalelaw.v1.Sweeps/Get", '{"swep": 1}'], 'no field named "swep"'),
                            (["scalelaw.v1.Sweeps/Get", '{'], "Failed to load JSON"),
                            (["scalelaw.v2.Sweeps"], "scalelaw.v2.Sweeps: Symbol not found")):
            refused = subprocess.run([SOURCE / "examples/call_by_reflection.py", *words], env=self.environment, text=True,
                                     capture_output=True)
            self.assertEqual(refused.returncode, 1)
            self.assertRegex(refused.stderr, said)
            self.assertNotIn("Traceback", refused.stderr)

    def test_stubs_of_ones_own_work(self):
        [script] = [block for block in blocks("sh") if "protoc" in block]
        self.shell(script)
        said = self.shell("""PYTHONPATH=stubs python3 -c '
import os, grpc
from scalelaw.v1 import sweeps_pb2, sweeps_pb2_grpc
stub = sweeps_pb2_grpc.SweepsStub(grpc.insecure_channel(os.environ["SCALELAW_SERVER"]))
print(stub.Get(sweeps_pb2.GetSweepRequest(sweep="widths")).runs.succeeded)'""")
        self.assertEqual(said, "4\n")

    def test_the_notebook_goes_from_a_sweep_to_a_prediction_that_holds(self):
        said = subprocess.run([sys.executable, "examples/notebook.py"], cwd=self.checkout, env=self.environment, text=True,
                              stdout=subprocess.PIPE, check=True).stdout
        self.assertIn("12 runs", said)
        self.assertRegex(said, r"measured: 0\.\d+, inside the interval")
        if importlib.util.find_spec("matplotlib"):
            self.assertTrue((self.checkout / "notebook.png").read_bytes().startswith(b"\x89PNG"))
        with Client(self.service.address) as client:
            [held_out] = client.verify("notebook")
            self.assertTrue(held_out.predicted_before)


if __name__ == "__main__":
    unittest.main(verbosity=2)

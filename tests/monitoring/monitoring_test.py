"""Metrics, alerts and Grafana's queries, each against a filled server and by the tools that read them; and where HTTP is."""

import glob
import json
import re
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "e2e"))
from service import BIN, SOURCE, Service  # noqa: E402


class Monitoring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = cls.enterClassContext(Service()).start_server()
        subprocess.run([BIN / "fill_study", cls.service.address, "ladders"], check=True)
        cls.service.cli("fit", "base", "--metric", "alignment", "--x", "flops", "--bootstrap", "50")
        address = (cls.service.data / "http.addr").read_text().strip()
        with urllib.request.urlopen(f"http://{address}/metrics") as answer:
            cls.metrics = answer.read().decode()

    def promtool(self, *argv, stdin=None):
        result = subprocess.run(["promtool", *map(str, argv)], input=stdin, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_promtool_accepts_the_metrics(self):
        self.promtool("check", "metrics", stdin=self.metrics)

    def test_metrics_are_what_the_database_says(self):
        runs = int(self.service.sql("select count(*) from v_runs where state = 'succeeded'")[0][0])
        self.assertIn(f'scalelaw_runs{{state="succeeded"}} {runs}', self.metrics)
        self.assertIn(f'scalelaw_attempts_ended_total{{state="succeeded"}} {runs}', self.metrics)

    def test_alerts_fire_where_they_should(self):
        self.promtool("check", "config", SOURCE / "deploy/prometheus/prometheus.yml")
        self.promtool("test", "rules", SOURCE / "tests/monitoring/alerts_test.yml")

    def test_alerts_are_about_metrics_that_there_are(self):
        rules = (SOURCE / "deploy/prometheus/alerts.yml").read_text()
        served = set(re.findall(r"^# TYPE (\w+)", self.metrics, re.M))
        named = set(re.findall(r"\bscalelaw_\w+", rules))
        self.assertGreater(len(named), 5)
        self.assertEqual(named - served, set())

    def test_every_query_of_every_grafana_dashboard_gives_rows(self):
        executed = 0
        # There are none, or none yet: all else must have something to show.
        may_be_empty = {"What failed, and why", "Lost and failed attempts", "Waiting, and for what"}
        for path in sorted(glob.glob(f"{SOURCE}/deploy/grafana/*.json")):
            board = json.loads(Path(path).read_text())
            values = {"__from": "0", "__to": "4102444800000"}

            def rows(sql):
                filled = re.sub(r"\$(\w+)", lambda name: values[name.group(1)], sql)
                return self.service.sql(filled)

            for variable in board["templating"]["list"]:
                if variable["type"] == "query":
                    found = rows(variable["query"])
                    self.assertTrue(found, f"{path}: {variable['name']}")
                    values[variable["name"]] = str(found[0][-1])
            for panel in board["panels"]:
                for target in panel["targets"]:
                    self.assertEqual(target["rawQueryText"], target["queryText"])
                    with self.subTest(board=board["title"], panel=panel["title"]):
                        found = rows(target["rawQueryText"])
                        self.assertTrue(found or panel["title"] in may_be_empty)
                        executed += 1
        self.assertGreater(executed, 20)


class Address(unittest.TestCase):
    def taken_port(self):
        listener = self.enterContext(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        return listener.getsockname()[1]

    def test_up_names_where_the_dashboard_is(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        data = self.enterContext(tempfile.TemporaryDirectory())
        up = subprocess.Popen([BIN / "scalelaw", "up", "--data", data, "--listen", f"127.0.0.1:{port}", "--http",
                               "127.0.0.1:0", "--json"], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL)
        try:
            dashboard = json.loads(up.stdout.readline())["dashboard"]
            with urllib.request.urlopen(f"{dashboard}/api/cluster") as answer:
                self.assertEqual(json.load(answer)["queue"], [])
        finally:
            up.terminate()
            up.communicate(timeout=60)

    def test_a_port_in_use_is_an_error_that_names_the_option(self):
        data = self.enterContext(tempfile.TemporaryDirectory())
        result = subprocess.run([BIN / "scalelaw-server", "--data", data, "--listen", "127.0.0.1:0", "--http",
                                 f"127.0.0.1:{self.taken_port()}"], capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertIn("--http", result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

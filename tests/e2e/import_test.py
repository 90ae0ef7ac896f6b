"""Runs that other tools recorded become laws: real files of those tools, the real command, a real server."""

import json
import sqlite3
import struct
import unittest
from pathlib import Path

from service import SOURCE, Service

RUNS = SOURCE / "tests/analysis/data/chinchilla.csv"


def loss(params, samples):
    return 1.7 + 400 * params**-0.34 + 410 * samples**-0.28


LADDER = [(2**i * 1e6, 2**j * 1e8) for i in range(6) for j in range(6)]


def mlflow_database(path):
    """The tables of MLflow's SQLite store, with what a script of the kind that people have logs into it."""
    database = sqlite3.connect(path)
    database.executescript("""
        CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name VARCHAR(256) UNIQUE, lifecycle_stage VARCHAR);
        CREATE TABLE runs (run_uuid VARCHAR(32) PRIMARY KEY, name VARCHAR(250), status VARCHAR(9), start_time BIGINT,
            end_time BIGINT, lifecycle_stage VARCHAR(20), experiment_id INTEGER);
        CREATE TABLE params (key VARCHAR(250), value VARCHAR(8000), run_uuid VARCHAR(32), PRIMARY KEY (key, run_uuid));
        CREATE TABLE tags (key VARCHAR(250), value VARCHAR(5000), run_uuid VARCHAR(32), PRIMARY KEY (key, run_uuid));
        CREATE TABLE metrics (key VARCHAR(250), value FLOAT, timestamp BIGINT, run_uuid VARCHAR(32), step BIGINT,
            is_nan BOOLEAN, PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
        INSERT INTO experiments VALUES (1, 'gpt', 'active'), (2, 'other', 'active');
    """)
    for k, (n, d) in enumerate(LADDER):
        run = f"{k:032x}"
        database.execute("INSERT INTO runs VALUES (?, ?, 'FINISHED', 1700000000000, 1700000100000, 'active', 1)",
                         (run, f"w{2**k}"))
        database.executemany("INSERT INTO params VALUES (?, ?, ?)",
                             [("n_params", str(int(n)), run), ("batch", "100", run), ("optimizer", "adam", run)])
        for step in (int(d / 200), int(d / 100)):
            database.execute("INSERT INTO metrics VALUES ('val/loss', ?, ?, ?, ?, 0)",
                             (loss(n, step * 100), 1700000000000 + step, run, step))
        database.execute("INSERT INTO metrics VALUES ('val/loss', 0, 1, ?, 1, 1)", (run,))
    database.execute("INSERT INTO runs VALUES ('f', 'still', 'RUNNING', 1, NULL, 'active', 1)")
    database.execute("INSERT INTO runs VALUES ('d', 'gone', 'FINISHED', 1, 2, 'deleted', 1)")
    database.commit()
    database.close()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def record(data):
    def masked(bytes_):
        crc = crc32c(bytes_)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(number):
    encoded = b""
    while number > 127:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def scalar_event(tag, step, value, as_tensor):
    if as_tensor:  # TF 2: DT_FLOAT, no dimensions, little-endian content
        what = field(8, b"\x08\x01" + field(2, b"") + field(4, struct.pack("<f", value)))
    else:
        what = b"\x15" + struct.pack("<f", value)
    summary = field(1, field(1, tag.encode()) + what)
    return b"\x09" + struct.pack("<d", 1.7e9 + step) + b"\x10" + varint(step) + field(5, summary)


class Imports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service()
        cls.service.start_server()

    @classmethod
    def tearDownClass(cls):
        cls.service.__exit__(None)

    def path(self, name):
        return self.service.root / name

    def fitted(self, study, metric="loss"):
        law = self.service.json("fit", study, "--metric", metric, "--x", "params,samples", "--law", "chinchilla",
                                "--bootstrap", "100")
        return {p["name"]: p["value"] for p in law["parameters"]}

    def check_law(self, study, metric="loss"):
        found = self.fitted(study, metric)
        for name, value in {"E": 1.7, "A": 400, "B": 410, "alpha": 0.34, "beta": 0.28}.items():
            self.assertLess(abs(found[name] / value - 1), 1e-3, (name, found))

    def test_a_csv_gives_the_law_that_fit_csv_gives(self):
        self.service.cli("import", "csv", RUNS, "--study", "chinchilla", "--metric", "loss")
        stored = self.fitted("chinchilla")
        direct = json.loads(self.service.cli("fit", "--csv", RUNS, "--y", "loss", "--law", "chinchilla", "--bootstrap",
                                             "100", "--json").stdout)["parameters"]
        for name, value in stored.items():
            # Samples and parameters are whole numbers in the database.
            self.assertLess(abs(value / direct[name]["value"] - 1), 1e-5, name)
        prediction = self.service.json("predict", "chinchilla", "--metric", "loss", "--at", "N=7e10", "--at", "D=1.4e12")
        self.assertGreater(prediction["value"], 1.5)
        best = self.service.json("optimal", "chinchilla", "--metric", "loss", "--flops", "5.76e23")
        self.assertGreater(best["params"]["value"] if isinstance(best["params"], dict) else best["params"], 1e9)

    def test_mlflow(self):
        database = self.path("mlflow.db")
        mlflow_database(database)
        options = ("--study", "mlflow", "--experiment", "gpt", "--samples", "step*batch", "--flops", "6*params*samples",
                   "--metric", "loss=val/loss")
        dry = self.service.json("import", "mlflow", database, *options, "--dry-run")
        self.assertEqual((dry["runs"], dry["unfinished"], dry["warnings"]), (36, 1, []))
        first = self.service.json("import", "mlflow", database, *options)
        self.assertEqual((first["added"], first["updated"]), (36, 0))
        again = self.service.json("import", "mlflow", database, *options)
        self.assertEqual((again["added"], again["updated"]), (0, 36))
        self.check_law("mlflow")
        self.assertEqual(self.service.sql("SELECT count(*) FROM v_curves WHERE study = 'mlflow'"), [(72,)])
        run = self.service.sql("SELECT run_params, params, samples, flops, started FROM v_runs WHERE study = 'mlflow' "
                               "ORDER BY run_id LIMIT 1")[0]
        self.assertEqual(json.loads(run[0])["optimizer"], "adam")
        self.assertEqual(run[1:4], (1000000, 100000000, 6e14))
        self.assertTrue(run[4].startswith("2023-11-14"))

    def test_tensorboard(self):
        for n, d in LADDER:
            folder = self.path("boards") / f"n{int(n)}_d{int(d)}" / "version_0"
            folder.mkdir(parents=True)
            events = b"".join(record(scalar_event("loss/val", step, loss(n, step * 1000), as_tensor=step % 2 == 0))
                              for step in (int(d / 3000), int(d / 1000)))
            torn = record(scalar_event("loss/val", int(d), 99, False))[:-5]
            (folder / "events.out.tfevents.1700000000.host.1.0").write_bytes(
                record(b"\x09" + struct.pack("<d", 1.7e9) + field(3, b"brain.Event:2")) + events + torn)
        self.service.cli("import", "tensorboard", self.path("boards"), "--study", "boards", "--name-pattern",
                         "n(?P<size>[0-9]+)_d", "--params", "size", "--samples", "1000*step", "--metric",
                         "loss=loss/val")
        self.check_law("boards")

    def test_optuna(self):
        try:
            import optuna
        except ImportError:
            self.skipTest("python3-optuna is not installed")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = f"sqlite:///{self.path('optuna.db')}"
        study = optuna.create_study(storage=storage, study_name="sizes")
        for n, d in LADDER:
            trial = study.ask({"width": optuna.distributions.IntDistribution(1, 10**9),
                               "act": optuna.distributions.CategoricalDistribution(["relu", "gelu"])})
            trial.set_user_attr("n", n)
            trial.set_user_attr("d", d)
            trial.report(9.0, step=3)
            study.tell(trial, loss(n, d))
        study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
        study.ask()
        outcome = self.service.json("import", "optuna", self.path("optuna.db"), "--study", "optuna", "--params", "n",
                                    "--samples", "d", "--metric", "loss=value")
        self.assertEqual((outcome["added"], outcome["unfinished"], outcome["without_metrics"]), (36, 1, 1))
        self.check_law("optuna")
        params = json.loads(self.service.sql("SELECT run_params FROM v_runs WHERE study = 'optuna'")[0][0])
        self.assertIn(params["act"], ("relu", "gelu"))

    def test_wandb_tables_and_charts(self):
        table = self.path("wandb.csv")
        table.write_text('"Name","State","ID","n_params","tokens","val_loss"\n' + "".join(
            f'"run-{k}","finished","id{k}","{n:.0f}","{d:.0f}","{loss(n, d)!r}"\n' for k, (n, d) in enumerate(LADDER)) +
                         '"bad","crashed","idx","1000000","1","99"\n"now","running","idy","1000000","1","99"\n')
        outcome = self.service.json("import", "wandb", table, "--study", "wandb", "--metric", "loss=val_loss")
        self.assertEqual((outcome["added"], outcome["unfinished"]), (37, 1))
        self.check_law("wandb")
        chart = self.path("chart.csv")
        chart.write_text('"Step","w64 - loss","w64 - loss__MIN","w128 - loss"\n"0","4","3.9","3"\n"5","2","1","1.5"\n')
        self.service.cli("import", "wandb", chart, "--study", "chart", "--metric", "loss", "--name-pattern",
                         "w(?P<width>[0-9]+)", "--params", "12*width^2")
        self.assertEqual(self.service.sql("SELECT run, params, value FROM v_observations WHERE study = 'chart' "
                                          "ORDER BY run"), [("w128", 196608, 1.5), ("w64", 49152, 2.0)])

    def test_a_table_of_curves(self):
        table = self.path("curves.csv")
        table.write_text("model,step,lr,params,loss\n" + "".join(
            f"m{m},{step},0.1,{m * 1000},{3 / m + 1 / step!r}\n" for m in (1, 2) for step in (10, 20, 30)))
        self.service.cli("import", "csv", table, "--study", "curves", "--run", "model", "--metric", "loss", "--samples",
                         "step*8", "--flops", "6*params*samples", "--holdout", "params>1500")
        self.assertEqual(self.service.sql("SELECT run, params, samples, flops, value, holdout FROM v_observations "
                                          "WHERE study = 'curves' ORDER BY run"),
                         [("m1", 1000, 240, 1.44e6, 3 + 1 / 30, 0), ("m2", 2000, 240, 2.88e6, 1.5 + 1 / 30, 1)])
        self.assertEqual(len(self.service.sql("SELECT 1 FROM v_curves WHERE study = 'curves'")), 6)

    def test_what_is_exported_is_imported_again(self):
        table = self.path("runs.csv")
        table.write_text('params,samples,loss,"a, b"\n' + "".join(
            f'{n:.0f},{d:.0f},{loss(n, d)!r},"x ""y"""\n' for n, d in LADDER))
        self.service.cli("import", "csv", table, "--study", "there", "--metric", "loss", "--flops", "6*params*samples")
        self.service.cli("fit", "there", "--metric", "loss", "--x", "params,samples", "--law", "chinchilla",
                         "--bootstrap", "100")
        exported = self.path("exported.csv")
        self.service.cli("export", "there", "--out", exported)
        self.assertIn('"param_a, b"', exported.read_text())
        self.service.cli("import", "csv", exported, "--study", "and-back", "--metric", "loss", "--run", "run_id")
        self.check_law("and-back")
        lines = [json.loads(line) for line in
                 self.service.cli("export", "there", "--format", "jsonl").stdout.splitlines()]
        self.assertEqual(len(lines), 36)
        self.assertEqual(lines[0]["curves"]["loss"][0]["value"], loss(*LADDER[0]))
        bundle = self.path("paper")
        self.service.cli("export", "there", "--format", "bundle", "--out", bundle)
        law = json.loads(next(bundle.glob("laws/loss-law-*.json")).read_text())
        self.assertEqual(law["law"], "chinchilla")
        self.assertIn("\\alpha = 0.34", (bundle / "laws.tex").read_text())
        self.assertGreater(len(list(bundle.glob("plots/*.svg"))), 1)
        fitted = self.service.cli("fit", "--csv", bundle / "runs.csv", "--where", "state=='succeeded' && holdout==0",
                                  "--y", "loss", "--law", "chinchilla", "--bootstrap", "100", "--json")
        self.assertLess(abs(json.loads(fitted.stdout)["parameters"]["E"]["value"] / 1.7 - 1), 1e-3)

    def test_errors_say_what_to_do(self):
        def refused(*argv):
            result = self.service.cli("import", *argv, check=False)
            self.assertEqual(result.returncode, 2, argv)
            return result.stderr

        table = self.path("few.csv")
        table.write_text("params,loss,arch\n1,2,a\n")
        self.assertIn("Columns of numbers: loss, params", refused("csv", table, "--study", "s"))
        self.assertIn("--metric: no run has 'lost'; there are: loss, params",
                      refused("csv", table, "--study", "s", "--metric", "lost"))
        self.assertIn("--flops: run '1': there is no 'size'; there are: loss, params, step",
                      refused("csv", table, "--study", "s", "--metric", "loss", "--flops", "6*size"))
        self.assertIn("--flops: run '1': 'arch' is 'a', no number",
                      refused("csv", table, "--study", "s", "--metric", "loss", "--flops", "arch"))
        self.assertIn("is no SQLite database of MLflow", refused("mlflow", table, "--study", "s"))
        self.assertIn("no such file", refused("mlflow", self.path("nowhere.db"), "--study", "s"))
        self.assertIn("holds no event files", refused("tensorboard", SOURCE / "docs", "--study", "s"))
        self.assertIn("--name-pattern", refused("csv", table, "--study", "s", "--metric", "loss", "--name-pattern", "("))
        damaged = self.path("events.out.tfevents.1")
        damaged.write_bytes(b"no event file at all, though its name says so")
        self.assertIn("is no TensorBoard event file", refused("tensorboard", damaged, "--study", "s"))
        self.assertEqual(self.service.sql("SELECT count(*) FROM v_studies WHERE study = 's'"), [(0,)])


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Certificates and tokens, from the outside: who is let in, who is not, and what each is told."""

import json
import os
import socket
import subprocess
import unittest

from service import BIN, SOURCE, Service, eventually

COUNTING = SOURCE / "tests/e2e/counting_trainer.py"
SWEEP = f"""
name: secured
study: secured
stages:
  - name: count
    command: [python3, {COUNTING}]
    params: {{steps: 5}}
    budget: {{steps: [5]}}
"""


def openssl(*argv):
    subprocess.run(["openssl", *map(str, argv)], check=True, capture_output=True)


class Authority:
    """A certificate authority in a directory of its own."""

    def __init__(self, directory):
        directory.mkdir()
        self.directory = directory
        self.ca = directory / "ca.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-subj",
                "/CN=test authority", "-keyout", directory / "ca.key", "-out", self.ca)

    def sign(self, name, host="127.0.0.1"):
        key, request, certificate = (self.directory / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", key, "-out", request)
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName=IP:{host}\n")
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.directory / "ca.key", "-CAcreateserial",
                "-days", 2, "-extfile", extensions, "-out", certificate)
        return certificate, key


class Secured(Service):
    """A service with tokens and an audit log."""

    def token(self, role, owner="ada"):
        made = subprocess.run([BIN / "scalelaw-server", "token", "create", "--data", self.data, "--role", role,
                               "--owner", owner], capture_output=True, text=True, check=True)
        file = self.root / f"{role}-{owner}.token"
        file.write_text(made.stdout)
        return file

    def audit(self):
        return [json.loads(line) for line in (self.data / "audit.log").read_text().splitlines()]


def machine_address():
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return None


class Tokens(unittest.TestCase):
    def test_each_role_may_do_what_it_is_for(self):
        service = self.enterContext(Secured())
        viewer, submitter = service.token("viewer"), service.token("submitter", "grace")
        worker = service.token("worker", "nodes")
        service.start_server()
        service.start_worker("--token-file", worker)

        refused = service.cli("status", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("this server asks for a token", refused.stderr)
        refused = service.submit(SWEEP, "--token-file", viewer, check=False)
        self.assertIn("is a viewer's; /scalelaw.v1.Sweeps/Submit needs a submitter's", refused.stderr)
        service.submit(SWEEP, "--wait", "--token-file", submitter)
        self.assertIn("succeeded", service.cli("status", "--token-file", viewer).stdout)
        self.assertIn("needs a viewer's", service.cli("status", "--token-file", worker, check=False).stderr)

        entries = {(entry["method"].split(".")[-1], entry.get("owner"), entry["result"]) for entry in service.audit()}
        self.assertIn(("Sweeps/Submit", "grace", "OK"), entries)
        self.assertIn(("Workers/Session", "nodes", "OK"), entries)
        self.assertIn(("Sweeps/Submit", None, "PERMISSION_DENIED"), entries)
        submitted = next(entry for entry in service.audit() if entry.get("owner") == "grace")
        self.assertEqual(submitted["request"]["spec"], {"name": "secured", "study": "secured"})
        self.assertTrue(submitted["peer"].startswith("ipv4:127.0.0.1:"))

    def test_a_sweep_is_its_tokens_owners_and_nobody_elses_to_change(self):
        service = self.enterContext(Secured())
        ada, grace, admin = service.token("submitter"), service.token("submitter", "grace"), service.token("admin", "eve")
        service.start_server()
        service.submit(SWEEP, "--token-file", ada)
        owner = service.json("status", "secured", "--token-file", grace)["sweep"]["owner"]
        self.assertEqual(owner, "ada")
        for command in ("cancel", "pause"):
            refused = service.cli(command, "secured", "--token-file", grace, check=False)
            self.assertRegex(refused.stderr, "this is ada's, and token .* is grace's")
        refused = service.submit(SWEEP, "--owner", "ada", "--token-file", grace, check=False)
        self.assertIn("only an admin submits for ada", refused.stderr)
        service.cli("pause", "secured", "--token-file", ada)
        service.cli("cancel", "secured", "--token-file", admin)

    def test_a_revoked_token_is_refused_at_once_and_a_new_one_known(self):
        service = self.enterContext(Secured())
        admin = service.token("admin")
        service.start_server()
        service.cli("status", "--token-file", admin)
        token_id = admin.read_text().split("_")[1]
        subprocess.run([BIN / "scalelaw-server", "token", "revoke", "--data", service.data, token_id], check=True,
                       capture_output=True)
        self.assertIn("was revoked", service.cli("status", "--token-file", admin, check=False).stderr)
        service.cli("status", "--token-file", service.token("viewer"))
        listed = subprocess.run([BIN / "scalelaw-server", "token", "list", "--data", service.data],
                                capture_output=True, text=True, check=True).stdout
        self.assertRegex(listed, f"{token_id}  admin .* revoked")

    def test_secrets_stay_out_of_logs_files_processes_and_trainers(self):
        service = self.enterContext(Secured())
        admin = service.token("admin").read_text().strip()
        secret = admin.split("_")[2]
        service.start_server()
        # From the environment, which trainers would inherit.
        service.worker = service.spawn("worker", BIN / "scalelaw-worker", "--server", service.address, "--work-dir",
                                       service.work, env={"SCALELAW_TOKEN": admin})
        path = service.root / "env.yaml"
        path.write_text(SWEEP.replace(f"[python3, {COUNTING}]", "[env]"))
        subprocess.run([BIN / "scalelaw", "--server", service.address, "submit", path, "--wait"], check=True,
                       capture_output=True, env={**os.environ, "SCALELAW_TOKEN": admin})
        for process in (service.server, service.worker):
            with open(f"/proc/{process.pid}/cmdline") as words:
                self.assertNotIn(secret, words.read())
        found = [file for file in service.root.rglob("*")
                 if file.is_file() and not file.name.endswith(".token") and secret.encode() in file.read_bytes()]
        self.assertEqual(found, [])


class Tls(unittest.TestCase):
    def setUp(self):
        self.service = self.enterContext(Secured())
        self.authority = Authority(self.service.root / "authority")
        certificate, key = self.authority.sign("server")
        self.options = ["--tls-cert", certificate, "--tls-key", key]

    def test_clients_that_trust_the_authority_are_served(self):
        token = self.service.token("admin")
        self.service.start_server(*self.options)
        trust = ["--tls-ca", self.authority.ca, "--token-file", token]
        self.service.start_worker(*trust)
        self.service.submit(SWEEP, "--wait", *trust)
        self.assertIn("this server asks for a token",
                      self.service.cli("status", "--tls-ca", self.authority.ca, check=False).stderr)

    def test_others_are_not(self):
        self.service.start_server(*self.options)
        self.assertEqual(self.service.cli("status", "--tls-ca", self.authority.ca).returncode, 0)
        stranger = Authority(self.service.root / "stranger")
        refused = self.service.cli("status", "--tls-ca", stranger.ca, check=False)
        self.assertEqual(refused.returncode, 3)
        self.assertIn("certificate verify failed", refused.stderr.lower().replace("_", " "))
        self.assertNotEqual(self.service.cli("status", check=False).returncode, 0)

    def test_mutual_tls_asks_clients_for_their_certificate(self):
        self.service.start_server(*self.options, "--tls-client-ca", self.authority.ca)
        certificate, key = self.authority.sign("client")
        own = ["--tls-ca", self.authority.ca, "--tls-cert", certificate, "--tls-key", key]
        self.assertEqual(self.service.cli("status", *own).returncode, 0)
        self.assertNotEqual(self.service.cli("status", "--tls-ca", self.authority.ca, check=False).returncode, 0)
        stranger = Authority(self.service.root / "stranger")
        foreign, foreign_key = stranger.sign("client")
        refused = self.service.cli("status", "--tls-ca", self.authority.ca, "--tls-cert", foreign, "--tls-key",
                                   foreign_key, check=False)
        self.assertNotEqual(refused.returncode, 0)


class Exposure(unittest.TestCase):
    def refusal(self, service, *options, listen="0.0.0.0:0"):
        result = subprocess.run([BIN / "scalelaw-server", "--data", service.data, "--listen", listen,
                                 *map(str, options)], capture_output=True, text=True, timeout=20)
        self.assertEqual(result.returncode, 2, result.stderr)
        return result.stderr

    def test_other_addresses_need_tls_and_tokens(self):
        service = self.enterContext(Secured())
        self.assertIn("Without TLS and tokens anybody who reaches the port", self.refusal(service))
        self.assertIn("not a loopback address", self.refusal(service, listen="127.evil.example:0"))
        authority = Authority(service.root / "authority")
        certificate, key = authority.sign("server")
        tls = ["--tls-cert", certificate, "--tls-key", key]
        self.assertIn("With TLS alone anybody", self.refusal(service, *tls))
        service.token("admin")
        self.assertIn("in the clear", self.refusal(service, "--insecure"))
        service.address = "0.0.0.0:0"
        service.start_server(*tls)

    def test_bad_certificates_are_named(self):
        service = self.enterContext(Secured())
        authority = Authority(service.root / "authority")
        certificate, key = authority.sign("server")
        _, other_key = authority.sign("other")
        self.assertIn("nowhere.pem: No such file", self.refusal(service, "--tls-cert", "nowhere.pem", "--tls-key", key))
        self.assertIn("holds no certificate", self.refusal(service, "--tls-cert", key, "--tls-key", key))
        self.assertIn("is not the key of the certificate",
                      self.refusal(service, "--tls-cert", certificate, "--tls-key", other_key))

    def test_a_token_does_not_travel_in_the_clear(self):
        address = machine_address()
        if address is None:
            self.skipTest("this machine has no address but loopback")
        service = self.enterContext(Secured())
        service.address = f"{address}:0"
        service.start_server("--insecure")
        self.assertEqual(service.cli("status").returncode, 0)
        token = service.root / "some.token"
        token.write_text("scalelaw_00000000_" + "0" * 64)
        refused = service.cli("status", "--token-file", token, check=False)
        self.assertIn("in the clear", refused.stderr)

    def test_from_another_machine_only_allowed_commands_run(self):
        address = machine_address()
        if address is None:
            self.skipTest("this machine has no address but loopback")
        service = self.enterContext(Secured())
        service.address = f"{address}:0"
        service.start_server("--insecure")
        service.start_worker()
        refused = service.submit(SWEEP, "--wait", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("--allow-command", service.sql("select reason from v_attempts")[0][0])
        service.worker.terminate()
        service.worker.wait(20)
        service.start_worker("--allow-command", f"python3 {COUNTING}")
        service.submit(SWEEP.replace("steps: 5", "steps: 6"), "--wait")


if __name__ == "__main__":
    unittest.main(verbosity=2)

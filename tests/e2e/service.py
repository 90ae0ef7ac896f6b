"""Real server, worker and command line in a directory of their own, for the end-to-end tests."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(os.environ["SCALELAW_BIN"])
SOURCE = Path(os.environ["SCALELAW_SOURCE"])


def eventually(what, condition, seconds=60.0):
    """Polls until `condition` gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


class Service:
    """Starts and kills the programs; every process ends with the context."""

    def __init__(self, slots=2):
        self.directory = tempfile.TemporaryDirectory(prefix="scalelaw-e2e-")
        self.root = Path(self.directory.name)
        self.data = self.root / "data"
        self.work = self.root / "work"
        self.slots = slots
        self.address = None
        self.server = None
        self.worker = None
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if kind is not None:
            for log in sorted(self.root.glob("*.log")):
                print(f"---- {log.name}\n{log.read_text(errors='replace')[-4000:]}", file=sys.stderr)
        self.directory.cleanup()

    def spawn(self, name, *argv, env=None, **options):
        with open(self.root / f"{name}.log", "ab") as log:
            process = subprocess.Popen([str(a) for a in argv], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                       env={**os.environ, **(env or {})}, **options)
        self.processes.append(process)
        return process

    def start_server(self, *options):
        listen = self.address or "127.0.0.1:0"
        address_file = self.data / "server.addr"
        address_file.unlink(missing_ok=True)
        self.server = self.spawn("server", BIN / "scalelaw-server", "--data", self.data, "--listen", listen,
                                 *options)

        def listening():
            if self.server.poll() is not None:
                raise AssertionError("the server ended: " + self.log("server"))
            return address_file.exists() and address_file.read_text().strip()

        self.address = eventually("the server listens", listening)
        return self

    def start_worker(self, *options):
        self.worker = self.spawn("worker", BIN / "scalelaw-worker", "--server", self.address, "--work-dir", self.work,
                                 "--slots", self.slots, *options)
        return self

    def log(self, name):
        return (self.root / f"{name}.log").read_text(errors="replace")

    def cli(self, *argv, check=True, timeout=300):
        result = subprocess.run([str(BIN / "scalelaw"), *[str(a) for a in argv]], capture_output=True, text=True,
                                timeout=timeout, stdin=subprocess.DEVNULL,
                                env={**os.environ, "SCALELAW_SERVER": self.address or "127.0.0.1:1"})
        if check and result.returncode != 0:
            raise AssertionError(f"scalelaw {' '.join(map(str, argv))}: exit {result.returncode}\n"
                                 f"{result.stdout}\n{result.stderr}")
        return result

    def json(self, *argv, **options):
        return json.loads(self.cli(*argv, "--json", **options).stdout)

    def submit(self, text, *options, name="sweep.yaml", check=True):
        path = self.root / name
        path.write_text(text)
        return self.cli("submit", path, *options, check=check)

    def sql(self, query, *arguments):
        """As any notebook would read it: a second, read-only connection."""
        connection = sqlite3.connect(f"file:{self.data}/scalelaw.db?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(query, arguments).fetchall()
        finally:
            connection.close()

    def trainers(self, pattern):
        """Pids of live processes whose command line matches, below this service's work directory or not."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    cwd = os.readlink(entry / "cwd")
                except OSError:
                    continue
                if re.search(pattern, words) and cwd.startswith(str(self.root)):
                    found.append(int(entry.name))
        return found


def kill9(process):
    """Kills one process and nothing else: what it started must cope."""
    process.send_signal(signal.SIGKILL)
    process.wait()

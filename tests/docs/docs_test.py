"""What the pages say can be typed: every block of shell is executed, or says why not and names only what exists."""

import contextlib
import csv
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from pages import LANGUAGES, SOURCE, blocks, differences, pages, prose
from import_test import mlflow_database
from service import BIN, Service

sys.path.insert(0, str(SOURCE / "docs/reference"))
from generate import PROGRAMS, help_of, subcommands

# As on the pages, but for the address: the usual one may be taken. `scalelaw up &` is given the time that a reader takes.
SHELL = """set -euo pipefail
trap 'set +e; kill $(jobs -p) 2>/dev/null; wait' EXIT
scalelaw() {
  if [ "$1" = up ]; then shift; exec scalelaw up --listen "$SCALELAW_SERVER" --http "$DASHBOARD" "$@"; fi
  command scalelaw "$@"
}
"""
UNTIL_UP = "until grep -q '^  stop .*Ctrl-C' said; do sleep 0.1; done\n"
# Of one page, on a machine that is busy: what takes longer is marked.
SECONDS = 150
# Where the reader of a page is taken to be.
READERS_FOLDER = "/home/ada/scalelaw"


def checkout(folder):
    """The project's folder as a reader has it, with runs of his own and the database of a server that ran before."""
    for name in ("deploy", "docs", "examples", "proto", "tests", "worker"):
        (folder / name).symlink_to(SOURCE / name)
    with open(SOURCE / "tests/analysis/data/chinchilla.csv") as theirs, open(folder / "runs.csv", "w") as ours:
        rows = csv.writer(ours)
        rows.writerow(["params", "tokens", "loss"])
        rows.writerows([row["N"], row["D"], row["loss"]] for row in csv.DictReader(theirs))
    mlflow_database(folder / "mlflow.db")
    (folder / "recipe.sql").write_text(blocks("docs/sql-recipes.md", "sql")[0].text)
    with Service() as service:
        service.start_server()
        for data in ("scalelaw-data", "my-data", "home/scalelaw"):
            (folder / data).mkdir(parents=True, exist_ok=True)
            subprocess.run([BIN / "scalelaw", "db", "backup", "--data", service.data, folder / data / "scalelaw.db"], check=True,
                           stdout=subprocess.DEVNULL)


def free_addresses(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]


def execute(folder, scripts):
    """Runs blocks one after another in one shell; what each printed, and the exit code."""
    server, dashboard = free_addresses(2)
    environment = {**os.environ, "HOME": str(folder / "home"), "SCALELAW_SERVER": server, "DASHBOARD": dashboard,
                   "PATH": f"{BIN}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = SHELL + "".join(f"echo '§§'\n{text}{UNTIL_UP if 'scalelaw up ' in text else ''}" for text in scripts)
    with open(folder / "said", "w+") as said:
        shell = subprocess.Popen(["bash", "-c", script], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said,
                                 stderr=said, start_new_session=True)
        try:
            code = shell.wait(SECONDS)
        except subprocess.TimeoutExpired:
            code = f"not done in {SECONDS} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        said.seek(0)
        text = said.read()
    for ours, readers in ((str(folder), READERS_FOLDER), (server, "127.0.0.1:7070"), (dashboard, "127.0.0.1:7080")):
        text = text.replace(ours, readers)
    text = re.sub(r"^\[\d{4}-\d\d-\d\d .*\n", "", text, flags=re.MULTILINE)  # the logs of `scalelaw up`
    return code, text.split("§§\n")[1:]


def words_of_commands(script):
    """The words of each call of one of our programs."""
    script = script.replace("\\\n", " ")
    for line in script.splitlines():
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&()")
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:
            words = line.split()
        call = None
        for word in [*words, ";"]:
            if re.fullmatch(r"[;|&()]+", word):
                if call:
                    yield call
                call = None
            elif call is not None:
                call.append(word)
            elif Path(word).name in PROGRAMS:
                call = [Path(word).name]


def unknown(call):
    """The first word of a call that is no command or option of the program; None if all are."""
    command, options = (call[0],), set()
    names = subcommands(BIN, *command)
    for word in call[1:]:
        if word == "--":
            break
        known = {option for line in re.findall(r"^  (-\S+)", help_of(BIN, *command), re.MULTILINE) for option in line.split(",")}
        options |= known
        if word.startswith("-") and not re.fullmatch(r"-|-[\d.].*", word):
            if word.split("=", 1)[0] not in options:
                return word
        elif word in names:
            command = (*command, word)
            names = subcommands(BIN, *command)
    return None


class Pages(unittest.TestCase):
    def test_every_block_says_its_language_and_none_hides_in_an_indent(self):
        for page in pages():
            text = (SOURCE / page).read_text()
            with self.subTest(page):
                self.assertEqual(text.count("\n```"), 2 * len(blocks(page)), "a fence is not closed, or not seen by this test")
                self.assertLessEqual({block.language for block in blocks(page)}, LANGUAGES)
                self.assertEqual(re.findall(r"^ {4,}(?:\S+=\S+ )*scalelaw(?:-\w+)? .*", prose(page), re.MULTILINE), [], "is no fenced block")
                marks = [block for block in blocks(page) if block.mark]
                self.assertEqual(len(re.findall("<!-- (?:not run|run by)", text)), len(marks), "a mark stands before no block")
                for block in marks:
                    self.assertEqual(block.language, "sh", block)
                    if block.mark == "run by":
                        self.assertIn(page, (SOURCE / block.reason).read_text(), f"{block}: {block.reason} does not read it")

    def test_every_program_command_and_option_exists(self):
        called = 0
        for page in pages():
            scripts = [(str(block), block.text) for block in blocks(page, "sh")]
            scripts += [(page, span) for span in re.findall(r"`(scalelaw\S* [^`\n]+)`", prose(page))]
            for where, script in scripts:
                for call in words_of_commands(script):
                    self.assertIsNone(unknown(call), f"{where}: {shlex.join(call)}")
                    called += len(call) > 1
        self.assertGreater(called, 50)
        for wrong in ("scalelaw fit x --metrics loss", "scalelaw-server tokens --dat DIR", "a | scalelaw db check --date ~"):
            self.assertEqual([unknown(call) is None for call in words_of_commands(wrong)], [False], wrong)

    def test_the_tutorial_shows_the_sweep_file_as_it_is(self):
        [shown] = blocks("docs/tutorial.md", "yaml")
        self.assertIn(shown.text, (SOURCE / "examples/own-unchanged.yaml").read_text())

    def test_links_lead_somewhere(self):
        for page in pages():
            for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", (SOURCE / page).read_text()):
                self.assertTrue((SOURCE / page).parent.joinpath(target).exists(), f"{page}: {target}")

    def test_blocks_do_what_they_say(self):
        for page in pages():
            scripts = [block for block in blocks(page, "sh") if not block.mark]
            if not scripts:
                continue
            with self.subTest(page), tempfile.TemporaryDirectory(prefix="scalelaw-docs-") as name:
                folder = Path(name)
                checkout(folder)
                code, said = execute(folder, [block.text for block in scripts])
                self.assertEqual((code, len(said)), (0, len(scripts)),
                                 f"{scripts[len(said) - 1]} failed:\n{said[-1] if said else ''}")
                for block, printed in zip(scripts, said):
                    lacking = differences(block.printed, printed)
                    self.assertIsNone(lacking, f"{block} prints otherwise:\n{printed}")

    def test_what_is_printed_is_compared_line_by_line(self):
        said = "a 1.00 of 2\n\nb\nc in 3 s\n"
        for printed, lacking in (("a 1.01 of 2\n", None), ("a 1.2 of 2\n", "a 1.2 of 2"), ("…\nc in … s\n", None),
                                 ("a 1 of 2\nc in 3 s\n", "c in 3 s"), ("c in 3 s\nb\n", "b"), ("a … 2\nb\n", None)):
            self.assertEqual(differences(printed, said), lacking, printed)


if __name__ == "__main__":
    unittest.main(verbosity=2)

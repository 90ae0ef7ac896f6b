#!/usr/bin/python3
"""Writes cli.md and api.md beside this file: what --help prints, and what the comments in proto/ say.

    docs/reference/generate.py build/release/bin             # writes the pages
    docs/reference/generate.py build/release/bin --check     # exit code 1 if they are not what it would write

Needs the built programs, protoc and python3-protobuf.
"""

import argparse
import functools
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROTO = HERE.parents[1] / "proto"
PROGRAMS = ("scalelaw", "scalelaw-server", "scalelaw-worker", "scalelaw-adapt", "scalelaw-train")


@functools.cache
def help_of(bin_folder, *words):
    """What `words --help` prints, a command of the programs in `bin_folder`; without the variables of the caller's shell."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCALELAW_")}
    return subprocess.run([*words, "--help"], executable=Path(bin_folder) / words[0], env=environment, check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def subcommands(bin_folder, *words):
    """Names of the commands of a command."""
    if words[0] not in ("scalelaw", "scalelaw-server"):
        return []
    names, heading = [], ""
    for line in help_of(bin_folder, *words).splitlines():
        if line.endswith(":") and not line.startswith(" "):
            heading = line
        elif heading != "Positionals:" and (command := re.match(r"  ([a-z][\w-]*)  +\S", line)):
            names.append(command[1])
    return names


def commands(bin_folder, *words):
    """The command itself and all below it, each as a tuple of words."""
    yield words
    for name in subcommands(bin_folder, *words):
        yield from commands(bin_folder, *words, name)


def cli_page(bin_folder):
    lines = ["# Commands", "", "What `--help` prints, by [`generate.py`](generate.py).", ""]
    for program in PROGRAMS:
        for words in commands(bin_folder, program):
            lines += [f"{'#' * min(len(words) + 1, 3)} {' '.join(words)}", "```text", help_of(bin_folder, *words).strip(), "```", ""]
    return "\n".join(lines)


def api_page():
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["protoc", f"-I{PROTO}", "--include_source_info", f"--descriptor_set_out={file.name}",
                        *sorted(PROTO.glob("scalelaw/v1/*.proto"))], check=True)
        files = FileDescriptorSet.FromString(Path(file.name).read_bytes()).file
    lines = ["# The gRPC API, scalelaw.v1", "", "From the comments in [`proto/scalelaw/v1`](../../proto/scalelaw/v1), by "
             "[`generate.py`](generate.py). How to call it: [clients](../clients.md).", ""]
    for file in files:
        lines += File(file).lines()
    return "\n".join(lines) + "\n"


class File:
    """One proto file; a comment is found by its element's path in the descriptor."""

    def __init__(self, file):
        self.file = file
        self.comments = {tuple(place.path): place for place in file.source_code_info.location}

    def comment(self, *path):
        place = self.comments.get(path)
        text = (place.leading_comments or place.trailing_comments) if place else ""
        return " ".join(line.strip() for line in text.splitlines())

    def lines(self):
        syntax = self.comments.get((12,))
        title = (syntax.leading_comments if syntax else "").replace("\n", " ").strip()
        lines = [f"## {self.file.name}", "", title, ""]
        for i, service in enumerate(self.file.service):
            lines += [f"### service {service.name}", "", self.comment(6, i), "", "| method | request → response | |", "|---|---|---|"]
            for j, method in enumerate(service.method):
                asked = "stream " * method.client_streaming + self.link(method.input_type)
                answered = "stream " * method.server_streaming + self.link(method.output_type)
                lines.append(f"| `{method.name}` | {asked} → {answered} | {cell(self.comment(6, i, 2, j))} |")
            lines.append("")
        for i, message in enumerate(self.file.message_type):
            lines += self.message(message, message.name, 4, i)
        for i, enum in enumerate(self.file.enum_type):
            lines += self.enum(enum, enum.name, 5, i)
        return lines

    def message(self, message, name, *path):
        lines = [f"### {name}", "", self.comment(*path), ""]
        if message.field:
            lines += ["| field | type | |", "|---|---|---|"]
        maps = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
        for j, field in enumerate(message.field):
            entry = maps.get(field.type_name.rsplit(".", 1)[-1])
            if entry:
                kind = f"map of {self.type(entry.field[0])} to {self.type(entry.field[1])}"
            else:
                kind = "repeated " * (field.label == field.LABEL_REPEATED) + "optional " * field.proto3_optional + self.type(field)
            oneof = "" if field.proto3_optional or not field.HasField("oneof_index") else (
                f"(one of `{message.oneof_decl[field.oneof_index].name}`) ")
            lines.append(f"| `{field.name}` | {kind} | {oneof}{cell(self.comment(*path, 2, j))} |")
        lines.append("")
        for j, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                lines += self.message(nested, f"{name}.{nested.name}", *path, 3, j)
        for j, enum in enumerate(message.enum_type):
            lines += self.enum(enum, f"{name}.{enum.name}", *path, 4, j)
        return lines

    def enum(self, enum, name, *path):
        lines = [f"### {name}", "", self.comment(*path), "", "| value | number | |", "|---|---|---|"]
        lines += [f"| `{value.name}` | {value.number} | {cell(self.comment(*path, 2, j))} |" for j, value in enumerate(enum.value)]
        return [*lines, ""]

    def type(self, field):
        return self.link(field.type_name) if field.type_name else field.Type.Name(field.type).removeprefix("TYPE_").lower()

    @staticmethod
    def link(name):
        short = name.removeprefix(".scalelaw.v1.")
        return f"`{name.lstrip('.')}`" if short == name else f"[{short}](#{short.lower().replace('.', '')})"


def cell(text):
    return text.replace("|", "\\|")


def main():
    parser = argparse.ArgumentParser(description="The reference pages, from --help and from the proto.")
    parser.add_argument("bin", type=Path, help="folder of the built programs")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is out of date")
    args = parser.parse_args()
    stale = False
    for name, text in (("cli.md", cli_page(args.bin)), ("api.md", api_page())):
        text = re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
        page = HERE / name
        if args.check and (not page.exists() or page.read_text() != text):
            print(f"docs/reference/{name} is out of date: run docs/reference/generate.py {args.bin}", file=sys.stderr)
            stale = True
        elif not args.check:
            page.write_text(text)
    sys.exit(stale)


if __name__ == "__main__":
    main()

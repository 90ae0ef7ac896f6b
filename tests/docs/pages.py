"""The fenced blocks of the project's pages, and what the pages say of how they are tested.

A block of `sh` is executed, unless an HTML comment on the line before it says why not:
    <!-- not run: REASON -->         its programs and options are checked against --help
    <!-- run by: tests/… -->         that test executes it
A block of `text` right after one is what it prints; `…` stands for what is left out, within a line or for whole lines.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(os.environ["SCALELAW_SOURCE"])
LANGUAGES = {"sh", "text", "python", "yaml", "json", "sql"}
FENCE = re.compile(r"(?:^<!-- (?P<mark>not run|run by): (?P<reason>.+?) -->\n)?^```(?P<language>\S*)\n(?P<text>.*?)^```$",
                   re.MULTILINE | re.DOTALL)


@dataclass
class Block:
    page: str
    line: int
    language: str
    text: str
    mark: str
    reason: str
    printed: str = ""  # the block of text after it

    def __str__(self):
        return f"{self.page}:{self.line}"


def pages():
    """Paths of all pages, relative to the project's folder."""
    found = [SOURCE / "README.md"]
    for folder in ("docs", "clients", "deploy"):
        found += sorted(path for path in (SOURCE / folder).rglob("*.md") if "node_modules" not in path.parts)
    return [str(path.relative_to(SOURCE)) for path in found]


def blocks(page, *languages):
    """Blocks of a page in order: of these languages, or all."""
    text = (SOURCE / page).read_text()
    found, end = [], None
    for match in FENCE.finditer(text):
        block = Block(page, text.count("\n", 0, match.start("language")) + 1, match["language"], match["text"],
                      match["mark"] or "", match["reason"] or "")
        if block.language == "text" and found and found[-1].language == "sh" and not text[end:match.start()].strip():
            found[-1].printed = block.text
        found.append(block)
        end = match.end()
    return [block for block in found if not languages or block.language in languages]


def prose(page):
    """What a page says outside its blocks."""
    return FENCE.sub("", (SOURCE / page).read_text())


def differences(printed, said):
    """The first line of `printed`, a page's block of text, that `said` does not have where it should; None if it has all.

    Numbers may be off by 5 %: they are estimates, and mathematical libraries differ.
    """
    said = [line.rstrip() for line in said.splitlines() if line.strip()]
    at, gap = 0, True
    for line in filter(str.strip, printed.splitlines()):
        if line.strip() == "…":
            gap = True
            continue
        candidates = range(at, len(said)) if gap else range(at, min(at + 1, len(said)))
        found = next((i for i in candidates if alike(line, said[i])), None)
        if found is None:
            return line
        at, gap = found + 1, False
    return None


NUMBER = r"\d+(?:\.\d+)?(?:e[+-]?\d+)?"


def alike(line, said):
    parts = re.split(rf"({NUMBER}|\s+|…)", line.strip())
    pattern = "".join(r"\s+" if part.isspace() else ".*" if part == "…" else f"({NUMBER})" if re.fullmatch(NUMBER, part)
                      else re.escape(part) for part in parts)
    match = re.fullmatch(pattern, said.strip())
    expected = [float(part) for part in parts if re.fullmatch(NUMBER, part)]
    return match is not None and all(abs(a - float(b)) <= 0.05 * max(abs(a), abs(float(b)))
                                     for a, b in zip(expected, match.groups()))

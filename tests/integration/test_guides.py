"""Each command and each Python example of the guides in docs/ is run, in the order of its page.

In a guide, code blocks mean what a reader takes them for:

- without a language: commands, one a line, that end with exit code 0; all is installed already;
- `console`: commands after a prompt, and what they print, where `...` stands for anything;
  `$ echo $?` shows the exit code of the one before;
- `python`: a script of its own; `toml`: the file that is named last before it;
- `diff`: an edit of a text file by hand.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from media import portraits

DOCS = Path(__file__).parents[2] / "docs"
FACEPIPE = [sys.executable, "-m", "facepipe"]
#: Pages that are no guides, and why their commands are not run as they stand.
NOT_RUN = {
    "containers.md": "its one example is a case of tests/conformance",
    "restorers.md": "needs the weights of others; tests/unit/models has files of each kind",
    "scale.md": "for 10,000 hours and 20 drivers; test_documents.py checks the flags",
    "training.md": "takes hours; tests/unit/training runs each of the commands on little",
    "ui.md": "serves until Ctrl-C; tests/integration/test_ui.py drives the page in a browser",
}
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


@dataclass
class Reader:
    """Somebody who does what a page says, in a folder."""

    folder: Path
    place: str = ""
    code: int = 0
    did: list[str] = field(default_factory=list)

    def follow(self, page: str) -> None:
        """Do all of a page. Raises AssertionError where something else happens than it says."""
        for found in BLOCK.finditer(page):
            indent, language, text = found.groups()
            self.place = f"line {page.count(chr(10), 0, found.start()) + 1}"
            lines = [line.removeprefix(indent) for line in text.splitlines()]
            if language == "":
                for line in (one for one in lines if not one.startswith("pip install ")):
                    self.type(line.partition(" #")[0])
                    assert self.code == 0, f"{self.place}: {line}: exit code {self.code}"
            elif language == "console":
                self.converse(lines)
            elif language == "python":
                self.run_script("\n".join(lines))
            elif language == "diff":
                self.edit(lines)
            elif language == "toml":
                name = re.findall(r"`([\w-]+\.toml)`", page[: found.start()])[-1]
                (self.folder / name).write_text("\n".join(lines), encoding="utf-8")

    def type(self, line: str) -> str:
        """Run a command and return what it prints."""
        words = shlex.split(line)
        if words == ["echo", "$?"]:
            code, self.code = self.code, 0
            return str(code)
        assert words[0] == "facepipe", f"{self.place}: what is {line}?"
        done = subprocess.run(
            [*FACEPIPE, *words[1:]],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, text=True, check=False,
        )  # fmt: skip
        self.code = done.returncode
        self.did.append(words[1])
        return done.stdout

    def converse(self, lines: list[str]) -> None:
        """Run what stands after the prompts, and compare what it prints."""
        prompts = [at for at, line in enumerate(lines) if line.startswith("$ ")]
        for at, after in zip(prompts, [*prompts[1:], len(lines)], strict=True):
            said = self.type(lines[at].removeprefix("$ "))
            assert matches(said, lines[at + 1 : after]), f"{self.place}: {lines[at]}\n{said}"
            asked = after < len(lines) and lines[after] == "$ echo $?"
            assert asked or self.code == 0, f"{self.place}: {lines[at]}: exit code {self.code}"

    def run_script(self, text: str) -> None:
        (self.folder / "script.py").write_text(text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "script.py"], cwd=self.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{self.place}: {done.stderr}"
        self.did.append("python")

    def edit(self, lines: list[str]) -> None:
        """Replace each line that begins with a minus by the one that follows it."""
        path = self.folder / lines[0].removeprefix("--- ")
        for old, new in zip(lines[1::2], lines[2::2], strict=True):
            text = path.read_text(encoding="utf-8")
            assert (old[0], new[0], text.count(old[1:])) == ("-", "+", 1), f"{self.place}: {old}"
            path.write_text(text.replace(old[1:], new[1:]), encoding="utf-8")
        self.did.append("edit")


def matches(said: str, expected: list[str]) -> bool:
    """Whether a text is what a page says, line breaks aside."""
    parts = " ".join(" ".join(expected).split()).split("...")
    pattern = r"\s?.*?\s?".join(re.escape(part.strip()) for part in parts)
    return re.fullmatch(pattern, " ".join(said.split())) is not None


@pytest.mark.parametrize(
    ("said", "expected", "same"),
    [
        ("a b\nc\n", ["a b c"], True),
        ("a b\nc\n", ["a", "...", "c"], True),
        ("a: 12 frames, 3 s\n", ["a: ... frames, ... s"], True),
        ("a: 12 frames, 3 s\nnotice\n", ["a: ... frames, ... s"], False),
        ("", [], True),
        ("something", [], False),
        ("something", ["..."], True),
    ],
)
def test_what_is_printed_is_compared(said: str, expected: list[str], same: bool) -> None:
    assert matches(said, expected) is same


def test_a_page_that_says_something_else_fails(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.follow("```console\n$ facepipe run no.mp4 -o out.mp4\n...\n$ echo $?\n3\n```\n")
    for wrong in (
        "```\nfacepipe run no.mp4 -o out.mp4\n```\n",
        "```console\n$ facepipe run no.mp4 -o out.mp4\n...\n```\n",
        "```console\n$ facepipe run no.mp4 -o out.mp4\nall is well\n$ echo $?\n3\n```\n",
        "```console\n$ facepipe run no.mp4 -o out.mp4\n...\n$ echo $?\n4\n```\n",
        "```python\nraise SystemExit(1)\n```\n",
        "```\nsudo facepipe\n```\n",
    ):
        with pytest.raises(AssertionError):
            reader.follow(wrong)


def guides() -> Iterator[Path]:
    """The pages of docs/ that have commands or Python, but those that are run elsewhere or not."""
    source = (DOCS.parent / "tests/unit/test_documents.py").read_text(encoding="utf-8")
    listed = re.search(r"^RUN = (\(.*?\))(  # fmt: skip)?$", source, re.DOTALL | re.MULTILINE)
    assert listed
    elsewhere = {*ast.literal_eval(listed[1])}
    for page in sorted(DOCS.glob("*.md")):
        blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
        active = any(kind == "python" or "facepipe " in text for _, kind, text in blocks)
        if active and f"docs/{page.name}" not in elsewhere and page.name not in NOT_RUN:
            yield page


def test_pages_that_are_not_run_are_there() -> None:
    assert all((DOCS / name).is_file() for name in NOT_RUN)
    assert {"quick-start", "false-face", "troubleshooting"} < {page.stem for page in guides()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the guides name."""
    folder = tmp_path_factory.mktemp("guides")
    portraits.video(folder / "input.mp4", frames=8)
    portraits.poster_video(folder / "office.mp4")
    cv2.imwrite(str(folder / "photo.jpg"), portraits.scene(0)[..., ::-1])
    for name in ("footage", "photographs", "mixed"):
        (folder / name).mkdir()
    shutil.copy(folder / "input.mp4", folder / "footage/a.mp4")
    shutil.copy(folder / "photo.jpg", folder / "photographs/a.jpg")
    shutil.copy(folder / "photo.jpg", folder / "mixed/a.jpg")
    whole = (folder / "input.mp4").read_bytes()
    for name in ("mixed/broken.mp4", "cut-short.mp4"):
        (folder / name).write_bytes(whole[: len(whole) // 3])
    shutil.copy(folder / "input.mp4", folder / "there.mp4")
    shutil.copy(folder / "photo.jpg", folder / "picture.mp4")
    return folder


@pytest.mark.long
@pytest.mark.parametrize("page", list(guides()), ids=lambda page: page.stem)
def test_a_guide_does_what_it_says(page: Path, files: Path, tmp_path: Path) -> None:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    text = page.read_text(encoding="utf-8")
    reader = Reader(tmp_path)
    reader.follow(text)
    assert reader.did
    if page.stem == "false-face":
        assert {"run", "analyze", "edit", "render"} < set(reader.did)
        the_poster_is_untouched(tmp_path)


def the_poster_is_untouched(folder: Path) -> None:
    """In the last result, the person's face is enhanced and the struck poster is only enlarged."""
    report = json.loads((folder / "clear.mp4.facepipe.json").read_text(encoding="utf-8"))
    assert [track["enhance"] for track in report["tracks"]] == [True, False]
    source, result = (first_frame(folder / name) for name in ("office.mp4", "clear.mp4"))
    enlarged = cv2.resize(source, result.shape[::-1], interpolation=cv2.INTER_CUBIC)
    changes = []
    for track in report["tracks"]:
        left, top, right, bottom = (round(2 * edge) for edge in track["knots"][0]["box"])
        area = np.s_[top:bottom, left:right]
        changes.append(float(cv2.absdiff(enlarged[area], result[area]).mean()))
    assert changes[1] < 1.5 < 2 * changes[1] < changes[0], changes


def first_frame(path: Path) -> NDArray[np.uint8]:
    """(H, W) luma."""
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="gray")

"""What README.md, docs/ and other pages say is true: commands work, links and names lead somewhere.

Commands are taken from code blocks and from inline code, as they are typed. Those of RUN that need
no cluster and no network are run on a small video, those of guides by
tests/integration/test_guides.py. Of all others each subcommand, flag, make target, script, extra
and setting must exist.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import pytest
import typer

from facepipe import errors
from facepipe.cli.main import app
from facepipe.configs.settings import Settings, load_settings
from media import portraits
from media.certificates import signer

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/facepipe"
FOLDERS = ("docs", "benchmarks", "docker", "tests")
PAGES = sorted([*ROOT.glob("*.md"), *(p for f in FOLDERS for p in (ROOT / f).rglob("*.md"))])
#: Pages whose commands are run, in their order, in one folder.
RUN = (
    "README.md", "docs/cluster.md", "docs/library.md", "docs/looking.md", "docs/marking.md",
    "docs/automation.md",
)  # fmt: skip
#: Flags of commands that need a cluster, or do not end.
ENDLESS = {"--ray", "--watch"}
#: A command in a console that is shown to end with an exit code above 0; test_guides.py runs it.
REFUSED = re.compile(r"^\$ .*\n(?:(?!\$ ).*\n)*\$ echo \$\?\n[1-9]\d*$", re.MULTILINE)
#: Flags of other programs that pages name by themselves.
FOREIGN = {"--no-deps", "--metrics-export-port", "--object-store-memory"}


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def subcommands(command: Any) -> dict[str, Any]:
    """The commands below a command; a group loads them when they are asked for."""
    context = typer.Context(command)
    names = getattr(command, "list_commands", lambda _: ())(context)
    return {name: command.get_command(context, name) for name in names}


@cache
def command_line() -> Any:
    return typer.main.get_command(app)


class Fault(Exception):  # noqa: N818
    """A page names what does not exist."""


def require(there: object, fault: str) -> None:
    if not there:
        raise Fault(fault)


class Code(NamedTuple):
    """A code block or inline code. `language` is None for the latter."""

    line: int
    language: str | None
    text: str


def codes(page: str) -> Iterator[Code]:
    """Each code block and each inline code of a page in Markdown."""
    block = re.compile(r"^ *```([\w.]*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
    for found in block.finditer(page):
        yield Code(_line(page, found.start()), found[1], found[2])
    rest = block.sub(lambda found: "\n" * found[0].count("\n"), page)
    for found in re.finditer(r"`([^`\n]+(?:\n[^`\n]+)*)`", rest):
        yield Code(_line(page, found.start()), None, re.sub(r"\s+", " ", found[1]))


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


class Command(NamedTuple):
    """A command as it is typed. `whole`: all of it, and not a part that a sentence speaks of."""

    line: int
    words: list[str]
    whole: bool


def commands(page: str) -> Iterator[Command]:
    """Each command of a page whose program is one of PROGRAMS."""
    for code in codes(page):
        if code.language in (None, "", "bash", "console", "sh"):
            for words in _split(code.text):
                yield Command(code.line, words, code.language is not None)


def _split(text: str) -> Iterator[list[str]]:
    """The commands in lines of a shell; lines of a console count where they begin with a prompt."""
    lines = REFUSED.sub("", text).replace("\\\n", " ").splitlines()
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in prompted or lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:  # a quotation mark of prose
            continue
        ends = [at for at, word in enumerate(words) if set(word) <= set("&|;")]
        for begin, end in zip([-1, *ends], [*ends, len(words)], strict=True):
            command = words[begin + 1 : end]
            while command and re.fullmatch(r"[A-Z_]+=.*", command[0]):
                del command[0]
            command[:1] = [word.removeprefix(".venv/bin/") for word in command[:1]]
            if command and command[0] in CHECKS:
                yield [word for word in command if word != "..."]


def check(command: Command) -> None:
    """Raise Fault, or what facepipe raises, where a command names what does not exist."""
    program, *arguments = command.words
    CHECKS[program](arguments, command.whole)


def _check_facepipe(arguments: Sequence[str], whole: bool) -> None:
    named, rest = command_line(), list(arguments)
    while rest and subcommands(named) and not rest[0].startswith("-"):
        require(rest[0] in subcommands(named), f"facepipe has no command {rest[0]}")
        named = subcommands(named)[rest.pop(0)]
    if (not rest and not whole) or "--help" in rest:
        return
    if rest == ["--install-completion"]:  # reading it would install it
        require(any(rest[0] in one.opts for one in named.params), f"there is no {rest[0]}")
        return
    try:
        parsed = named.make_context(named.name, [*rest]).params
    except Exception as error:
        # typer may bring a click of its own, so the class is known by its name alone.
        if whole or type(error).__name__ != "MissingParameter":
            raise Fault(str(error)) from error
        return
    load_settings(assignments=_assignments(parsed.get("assign") or ()))


def _assignments(given: Sequence[str]) -> list[str]:
    return [one for one in given if one.casefold() != "key=value"]


def _check_make(arguments: Sequence[str], whole: bool) -> None:
    makefile = read(ROOT / "Makefile")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    variables = set(re.findall(r"^([A-Z]+) \?=", makefile, re.MULTILINE))
    for word in arguments:
        name, equals, _ = word.partition("=")
        require(name in (variables if equals else targets), f"Makefile has no {name}")


def _check_pip(arguments: Sequence[str], whole: bool) -> None:
    while arguments and arguments[0] in ("install", "pip", "tool"):
        arguments = arguments[1:]
    targets = list(arguments)
    for flag in ("-c", "--constraint", "--constraints"):
        if flag in targets:
            at = targets.index(flag)
            require((ROOT / targets[at + 1]).is_file(), f"there is no {targets[at + 1]}")
            del targets[at : at + 2]
    targets = [word for word in targets if not word.startswith("-")]
    require(targets or not arguments, "nothing is named to install")
    for target in targets:
        if extras := re.fullmatch(r"(?:facepipe|\.)\[(.+)\]", target):
            _check_extras(extras[1])


def _check_extras(names: str) -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    there = {*project["optional-dependencies"], "NAME"}
    for name in names.split(","):
        require(name in there, f"pyproject.toml has no extra {name}")


def _check_python(arguments: Sequence[str], whole: bool) -> None:
    if not arguments or arguments[0] == "-c":
        return
    if arguments[0] == "-m":
        require(importlib.util.find_spec(arguments[1]), f"there is no module {arguments[1]}")
        if arguments[1] in CHECKS:
            CHECKS[arguments[1]](arguments[2:], whole)
        return
    script = _named_script(arguments)
    if script is not None:
        flags = {word.partition("=")[0] for word in arguments if word.startswith("--")}
        unknown = flags - _flags_in(script) - {"--help"}
        require(not unknown, f"{script.relative_to(ROOT)} takes no {', '.join(sorted(unknown))}")


def _named_script(arguments: Sequence[str]) -> Path | None:
    """The script that is run; None for one of the reader's own. A folder is run by its __main__."""
    path = ROOT / arguments[0]
    if not arguments[0].startswith((*FOLDERS, "examples")):
        return None
    require(path.exists(), f"there is no {arguments[0]}")
    if path.is_file() or len(arguments) == 1:
        return path
    require((path / "__main__.py").is_file(), f"{arguments[0]} cannot be run")
    of_a_name = [path / f"{arguments[1]}.py", path / f"fuzz_{arguments[1]}.py"]
    found = [one for one in of_a_name if one.is_file()]
    require(found, f"{arguments[0]} has no {arguments[1]}")
    return found[0]


@cache
def _flags_in(script: Path) -> frozenset[str]:
    return frozenset(re.findall(r'"(--[a-z][\w-]*)"', read(script)))


def _check_pytest(arguments: Sequence[str], whole: bool) -> None:
    for word in arguments:
        if word.startswith("tests"):
            path, _, test = word.partition("::")
            require((ROOT / path).exists(), f"there is no {path}")
            name = test.partition("[")[0]
            require(not name or f"def {name}(" in read(ROOT / path), f"no test {name}")


CHECKS = {
    "facepipe": _check_facepipe,
    "make": _check_make,
    "pip": _check_pip,
    "pipx": lambda words, whole: _check_pip(words, whole) if words[:1] == ["install"] else None,
    "py": _check_python,
    "pytest": _check_pytest,
    "python": _check_python,
    "python3": _check_python,
    "uv": lambda words, whole: _check_pip(words, whole) if "install" in words else None,
}


def by_page(pages: Sequence[Path]) -> Any:
    names = [path.relative_to(ROOT).as_posix() for path in pages]
    return pytest.mark.parametrize("page", pages, ids=names)


def report(page: Path, faults: list[str]) -> None:
    assert not faults, "\n".join(f"{page.relative_to(ROOT)}:{fault}" for fault in faults)


@by_page(PAGES)
def test_commands_name_what_exists(page: Path) -> None:
    faults = []
    for command in commands(read(page)):
        try:
            check(command)
        except (Fault, errors.FacepipeError) as error:
            faults.append(f"{command.line}: {shlex.join(command.words)}: {error}")
    report(page, faults)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("facepipe run in.mp4 -o out.mp4 --sclae 2", "sclae"),
        ("facepipe run in.mp4", "output"),
        ("facepipe run in.mp4 -o out.mp4 --set output.nothing=1", "nothing"),
        ("facepipe enhance in.mp4", "no command enhance"),
        ("facepipe evaluate nothing faces.zip", "no command nothing"),
        ("cd here && facepipe doctor --nothing", "nothing"),
        ("make nothing", "no nothing"),
        ("make NOTHING=1 test", "no NOTHING"),
        (".venv/bin/pip install -c constraints.txt", "nothing is named"),
        ("pip install 'facepipe[train,nothing]'", "no extra nothing"),
        ("pip install -c nothing.txt .", "no nothing.txt"),
        ("python -m facepipe run in.mp4 -o out.mp4 --nothing", "nothing"),
        ("python benchmarks/nothing.py", "no benchmarks/nothing.py"),
        ("FACEPIPE=1 python tests/conformance/matrix.py --nothing", "takes no --nothing"),
        ("python tests/fuzz nothing", "has no nothing"),
        ("pytest tests/unit/test_documents.py::test_nothing", "no test test_nothing"),
    ],
)
def test_a_command_that_names_what_does_not_exist_is_found(text: str, fault: str) -> None:
    (command,) = commands(f"Some words.\n\n```\n{text}    # and why\n```\n")
    with pytest.raises((Fault, errors.FacepipeError), match=re.escape(fault)):
        check(command)
    with_prompt = list(commands(f"```\n$ {text}\nfacepipe: what it says\n```\n"))
    assert [one.words for one in with_prompt] == [command.words]


def test_a_command_that_is_shown_to_be_refused_may_name_anything() -> None:
    block = "```console\n$ facepipe run --sclae 2\nwhat it says\n$ echo $?\n{}\n```\n"
    assert not list(commands(block.format(2)))
    assert list(commands(block.format(0)))


def test_inline_code_may_be_a_part_of_a_command() -> None:
    found = list(commands("Say `facepipe run`, `facepipe run --scale 4`, or `facepipe\nmodels`."))
    assert [" ".join(one.words) for one in found] == [
        "facepipe run", "facepipe run --scale 4", "facepipe models",
    ]  # fmt: skip
    for command in found:
        check(command)
    (wrong,) = commands("Say `facepipe run --sclae 4`.")
    with pytest.raises(Fault, match="sclae"):
        check(wrong)


@cache
def known_flags() -> frozenset[str]:
    """All flags of facepipe, and of the scripts of this repository."""

    def of(command: Any) -> Iterator[str]:
        for parameter in command.params:
            yield from (*parameter.opts, *parameter.secondary_opts)
        for subcommand in subcommands(command).values():
            yield from of(subcommand)

    folders = (ROOT / folder for folder in ("benchmarks", "tests", "examples"))
    ours = [_flags_in(script) for folder in folders for script in folder.rglob("*.py")]
    own = frozenset().union(*ours) - _flags_in(Path(__file__))
    return own | frozenset(of(command_line())) | FOREIGN | {"--help"}


@by_page(PAGES)
def test_flags_settings_extras_and_paths_in_sentences_exist(page: Path) -> None:
    faults = []
    for code in codes(read(page)):
        if code.language is None:
            faults += [f"{code.line}: `{code.text}`: {fault}" for fault in inline_faults(code.text)]
    report(page, faults)


def inline_faults(text: str) -> Iterator[str]:
    """What is wrong with inline code that is no command."""
    first = text.split()[0] if text.split() else ""
    if first.startswith("--"):
        flags = {word.partition("=")[0] for word in text.split() if word.startswith("--")}
        flags = {part for flag in flags for part in flag.split("/") if part.startswith("--")}
        yield from (f"there is no flag {flag}" for flag in sorted(flags - known_flags() - {"--"}))
        for assignment in _assignments(re.findall(r"--set (\S+)", text)):
            try:
                load_settings(assignments=[assignment])
            except errors.FacepipeError as error:
                yield str(error)
    elif extras := re.fullmatch(r"facepipe\[([a-z,]+)\]", text):
        try:
            _check_extras(extras[1])
        except Fault as error:
            yield str(error)
    elif setting := re.fullmatch(r"([a-z]+)\.(\w+)", text):
        section = Settings.model_fields.get(setting[1])
        fields = getattr(section.annotation, "model_fields", {}) if section else {}
        if fields and setting[2] not in (*fields, "py", "toml"):
            yield "there is no such setting"
    elif recipe := re.fullmatch(r"recipes/\S+", first):
        if not (PACKAGE / "configs" / recipe[0]).exists():
            yield "there is no such recipe"
    elif re.fullmatch(r"[\w./-]+\.py|(?:src|tests|benchmarks|docs|docker|examples)/\S*", first):
        bases = (ROOT, PACKAGE, PACKAGE.parent, ROOT / "tests")
        if "/" in first and not any((base / first).exists() for base in bases):
            yield "there is no such file"


@pytest.mark.parametrize(
    "text",
    [
        "--sclae 2", "--copy/--no-cpoy", "--set limits.hoers=2", "facepipe[nothing]",
        "link.nothing", "faces/nothing.py", "benchmarks/nothing.py", "tests/nothing/",
        "recipes/nothing.toml",
    ],
)  # fmt: skip
def test_inline_code_that_names_what_does_not_exist_is_found(text: str) -> None:
    assert list(inline_faults(text))


@by_page(PAGES)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    text = read(page)
    faults = []
    for found in re.finditer(r"\]\(([^)\s]+)\)", _without_code(text)):
        target, _, heading = found[1].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        linked = (page.parent / target).resolve() if target else page
        if not linked.exists():
            faults.append(f"{_line(text, found.start())}: there is no {target}")
        elif heading and heading not in anchors(linked):
            faults.append(f"{_line(text, found.start())}: {target} has no heading #{heading}")
    report(page, faults)


@by_page(PAGES)
def test_one_thing_is_not_many(page: Path) -> None:
    """As in what `run` prints, which begins lines that pages show."""
    many = re.compile(r"(?<![\d,.~])1 (?:frames|faces|tracks|spans)\b")
    text = read(page)
    report(page, [f"{_line(text, one.start())}: {one[0]}" for one in many.finditer(text)])


def _without_code(text: str) -> str:
    """The text with its code blocked out, places kept."""
    code = re.compile(r"^ *```.*?^ *```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
    return code.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", read(page), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading.casefold()) for heading in headings)
    return {re.sub(r"\s", "-", heading.strip()) for heading in plain}


def test_links_and_pictures_of_the_readme_work_on_pypi() -> None:
    """The build rewrites them; see pyproject.toml."""
    project = tomllib.loads(read(ROOT / "pyproject.toml"))
    hook = project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    assert hook["fragments"] == [{"path": "README.md"}]
    text = read(ROOT / "README.md")
    before = re.findall(r"\]\((?!https://|#)([^)]+)\)", text)
    for substitution in hook["substitutions"]:
        text = re.sub(substitution["pattern"], substitution["replacement"], text)
    assert len(before) > 15
    assert not re.findall(r"\]\((?!https://|#)([^)]+)\)", text)
    pages = "https://github.com/facepipe/facepipe/blob/v$HFPR_VERSION/"
    assert re.findall(rf"\]\({re.escape(pages)}([^)]+)\)", text) == before[1:]
    raw = "https://raw.githubusercontent.com/facepipe/facepipe/v$HFPR_VERSION/"
    assert f"]({raw}{before[0]})" in text


@by_page(PAGES)
def test_python_in_pages_compiles_and_imports_what_exists(page: Path) -> None:
    for code in codes(read(page)):
        if code.language != "python":
            continue
        for node in ast.walk(ast.parse(code.text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("facepipe"):
                module = importlib.import_module(node.module or "")
                missing = [one.name for one in node.names if not hasattr(module, one.name)]
                assert not missing, f"{page}:{code.line}: {node.module} has no {missing}"


def test_rooms_are_those_of_the_source_code() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    tree = re.search(r"^src/facepipe/\n((?: .*\n)+)", read(ROOT / "README.md"), re.M)
    assert tree
    assert set(re.findall(r"^ +(\w+)/ ", tree[1], re.MULTILINE)) == rooms
    page = read(ROOT / "docs/architecture.md")
    assert set(re.findall(r"^\| \d \| `(\w+)` \|", page, re.MULTILINE)) == rooms


def test_exit_codes_are_those_of_the_readme() -> None:
    said = read(ROOT / "README.md").partition("## Exit codes\n")[2].partition("\n## ")[0]
    codes_said = {int(one) for one in re.findall(r"(?:^|· ?)\n?(\d+) ", said, re.MULTILINE)}
    assert codes_said == {0, *map(int, re.findall(r" (\d+)\b", errors.__doc__ or ""))}


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages name: a video, a photograph, a folder, an archive."""
    folder = tmp_path_factory.mktemp("footage")
    portraits.video(folder / "input.mp4", frames=8)
    cv2.imwrite(str(folder / "photo.jpg"), portraits.scene(0)[..., ::-1])
    signer(folder)
    (folder / "footage").mkdir()
    shutil.copy(folder / "input.mp4", folder / "footage/a.mp4")
    shutil.copy(folder / "photo.jpg", folder / "footage/b.jpg")
    with zipfile.ZipFile(folder / "old.zip", "w") as archive:
        archive.write(folder / "photo.jpg", "c.jpg")
    return folder


@by_page([ROOT / name for name in RUN])
def test_commands_do_what_the_page_says(page: Path, footage: Path, tmp_path: Path) -> None:
    shutil.copytree(footage, tmp_path, dirs_exist_ok=True)
    text = read(page)
    ran = []
    for command in commands(text):
        if command.whole and can_run(command.words):
            run(["-m", "facepipe", *command.words[1:]], tmp_path, f"{page}:{command.line}")
            ran.append(command.words[1])
    for code in codes(text):
        if code.language == "python":
            (tmp_path / "script.py").write_text(code.text, encoding="utf-8")
            run(["script.py"], tmp_path, f"{page}:{code.line}")
            ran.append("python")
    for word in re.findall(r" -o ([\w.]+\.\w+)\b", text):
        assert (tmp_path / word).is_file(), f"{page}: no {word} was written"
    assert page.name in ("library.md", "looking.md") or "batch" in ran
    assert page.name != "library.md" or ran == ["python"] * text.count("```python")
    assert page.name != "looking.md" or {"preview", "report", "compare", "gallery"} < set(ran)
    assert page.name != "README.md" or {"run", "analyze", "render", "python"} < set(ran)


def can_run(words: Sequence[str]) -> bool:
    """Whether a command needs neither a cluster, nor the network, nor a folder outside."""
    near = all("://" not in word and not word.startswith("/") for word in words)
    return words[:1] == ["facepipe"] and near and words[1] != "doctor" and not ENDLESS & {*words}


def run(words: Sequence[str], folder: Path, place: str) -> None:
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{place}: {shlex.join(words)}: {done.stdout}{done.stderr}"

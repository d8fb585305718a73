"""Build the documentation as a site, with every link checked.

    python docs/site/build.py [--into FOLDER]

Pages are written to be read on GitHub. On the site some of them lie elsewhere: those of `ELSEWHERE`
become pages of `project/`, and links to other files of the repository lead to GitHub. The site also
has each page as Markdown, and `llms.txt`, which lists them for language models.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GITHUB = "https://github.com/facepipe/facepipe/blob/main/"
#: Pages that lie outside of docs/, and what they are called on the site.
ELSEWHERE = {
    "README.md": "project/readme.md",
    "RESPONSIBLE_USE.md": "project/responsible-use.md",
    "SECURITY.md": "project/security.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
    "CHANGELOG.md": "project/changelog.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "docker/README.md": "project/docker.md",
}
#: The section of mkdocs.yml to which pages go that it does not name.
REST = "Reference"
CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")
INDENT = re.compile(r"^ {2,3}(?=\S)", re.MULTILINE)
LAST_PARAGRAPH = re.compile(r"\n\n(?: {4}.*\n)+(?=(?:[-*]|\d+\.) )")


class BrokenLinkError(Exception):
    """A link to a file that does not exist."""


class Page(NamedTuple):
    """A page: its file in the repository, and its name on the site."""

    source: Path
    name: str


def pages() -> list[Page]:
    """All pages of the site: those of docs/, in their order, and those from elsewhere."""
    own = sorted(path for path in DOCS.rglob("*.md") if path.parent != DOCS / "site")
    here = [Page(path, path.relative_to(DOCS).as_posix()) for path in own]
    return here + [Page(ROOT / path, name) for path, name in ELSEWHERE.items()]


def on_site(page: Page) -> str:
    """The Markdown of a page as the site needs it: links, and lists within lists.

    Raises BrokenLinkError where a link leads to no file of the repository.
    """
    text = page.source.read_text(encoding="utf-8")
    # GitHub takes what belongs to an item of a list at two spaces, Python-Markdown at four; behind
    # a paragraph of one item, the next item needs a blank line.
    text = _outside_code(INDENT, lambda _: "    ", text)
    text = _outside_code(LAST_PARAGRAPH, lambda found: f"{found[0]}\n", text)
    return _outside_code(LINK, lambda found: found[1] + _target(page, found[2]) + found[3], text)


def _outside_code(
    pattern: re.Pattern[str], change: Callable[[re.Match[str]], str], text: str
) -> str:
    """A text with what a pattern finds changed, but for what is code."""
    kept = [found.span() for found in CODE.finditer(text)]

    def changed(found: re.Match[str]) -> str:
        inside = any(begin <= found.start() < end for begin, end in kept)
        return found[0] if inside else change(found)

    return pattern.sub(changed, text)


def _target(page: Page, link: str) -> str:
    """Where a link of a page leads on the site."""
    path, hash_, heading = link.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return link
    file = Path(os.path.normpath(page.source.parent / path))
    if not file.exists():
        raise BrokenLinkError(f"{page.source.relative_to(ROOT)}: there is no {path}")
    inside = file.relative_to(ROOT).as_posix()
    if file.is_relative_to(DOCS) and file.is_file():
        name = file.relative_to(DOCS).as_posix()
    elif inside in ELSEWHERE:
        name = ELSEWHERE[inside]
    else:
        return f"{GITHUB}{inside}{hash_}{heading}"
    relative = os.path.relpath(name, Path(page.name).parent).replace(os.sep, "/")
    return f"{relative}{hash_}{heading}"


def stage(folder: Path) -> None:
    """Write all pages and their pictures to a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for page in pages():
        target = folder / page.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(on_site(page), encoding="utf-8")
    for path in DOCS.rglob("*"):
        if path.suffix in (".png", ".webp", ".svg", ".css"):
            target = folder / path.relative_to(DOCS)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def configuration() -> dict[str, Any]:
    """mkdocs.yml, with the pages that it does not name at the end of a section."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = {entry.name for entry in entries(config["nav"])}
    rest = [page.name for page in pages() if page.name not in named]
    for section in config["nav"]:
        if REST in section:
            section[REST] += rest
    return config


class Entry(NamedTuple):
    """A page in the navigation; without a title of its own it has that of its first line."""

    section: str
    title: str
    name: str


def entries(nav: list[Any], section: str = "Start") -> Iterator[Entry]:
    """Each page of a navigation, in its order."""
    for entry in nav:
        for title, inside in ({"": entry} if isinstance(entry, str) else entry).items():
            if isinstance(inside, str):
                yield Entry(section, title, inside)
            else:
                yield from entries(inside, title)


def title_of(text: str) -> str:
    """The first heading of a page."""
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return found[1] if found else "Untitled"


def summary_of(text: str) -> str:
    """The first sentence of a page, as plain text."""
    after = re.split(r"^# .+$", text, maxsplit=1, flags=re.MULTILINE)[-1]
    blocks = (block.strip() for block in re.split(r"\n\s*\n", after))
    prose = next((one for one in blocks if re.match(r"[\w*`\[]", one)), "")
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(prose.split())).replace("**", "")
    return re.split(r"(?<=[.!?])\s", plain, maxsplit=1)[0]


def llms_txt(config: dict[str, Any], staged: Path) -> str:
    """The list of pages for language models (https://llmstxt.org)."""
    notice = "Enhanced faces are plausible inventions of a neural network and no evidence."
    lines = [f"# {config['site_name']}", "", f"> {config['site_description']} {notice}"]
    last = None
    for section, title, name in entries(config["nav"]):
        if section != last:
            lines += ["", f"## {section}", ""]
        last = section
        text = (staged / name).read_text(encoding="utf-8")
        lines.append(f"- [{title or title_of(text)}]({name}): {summary_of(text)}")
    return "\n".join(lines) + "\n"


def build(into: Path) -> None:
    """Build the site into a folder: its pages lie in `into`/site.

    Raises BrokenLinkError, or CalledProcessError where the generator finds a fault.
    """
    into.mkdir(parents=True, exist_ok=True)
    stage(into / "pages")
    config = configuration() | {"docs_dir": "pages", "site_dir": "site"}
    (into / "mkdocs.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    shutil.rmtree(into / "site", ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    subprocess.run([*command, "--config-file", str(into / "mkdocs.yml")], cwd=into, check=True)
    for page in pages():
        shutil.copyfile(into / "pages" / page.name, into / "site" / page.name)
    listed = llms_txt(config, into / "pages")
    (into / "site/llms.txt").write_text(listed, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", type=Path, default=ROOT / "build", help="folder to write to")
    into = parser.parse_args().into.absolute()
    try:
        build(into)
    except BrokenLinkError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    print(f"Look at {into / 'site/index.html'}")


if __name__ == "__main__":
    main()

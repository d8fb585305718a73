"""The documentation as a site: no page is lost, no link broken, nothing loaded from elsewhere."""

from __future__ import annotations

import html
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest

from media import browser

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("site")  # one worker builds it
SCRIPT = ROOT / "docs/site/build.py"


@pytest.fixture(scope="module")
def site() -> ModuleType:
    """The module docs/site/build.py."""
    pytest.importorskip("yaml")
    spec = importlib.util.spec_from_file_location("build_site", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def page(site: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page in the docs folder of a small repository."""
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "LICENSE", "docs/other.md"):
        (tmp_path / name).write_text("# Other\n\nA sentence.\n", encoding="utf-8")
    monkeypatch.setattr(site, "ROOT", tmp_path)
    monkeypatch.setattr(site, "DOCS", tmp_path / "docs")
    return tmp_path / "docs/page.md"


@pytest.mark.parametrize(
    ("written", "on_site"),
    [
        ("[a](other.md#other)", "[a](other.md#other)"),
        ("[a](../README.md#other)", "[a](project/readme.md#other)"),
        ("[a](../LICENSE)", "[a](https://github.com/facepipe/facepipe/blob/main/LICENSE)"),
        ("[a](https://example.org/b)", "[a](https://example.org/b)"),
        ("[a](#here)", "[a](#here)"),
        ("`[a](nothing.md)`", "`[a](nothing.md)`"),
        ("1. one\n   - two\n\n   three\n2. four", "1. one\n    - two\n\n    three\n\n2. four"),
        ("```\n  code [a](b)\n```", "```\n  code [a](b)\n```"),
    ],
)
def test_a_page_is_made_fit_for_the_site(
    site: ModuleType, page: Path, written: str, on_site: str
) -> None:
    page.write_text(written, encoding="utf-8")
    assert site.on_site(site.Page(page, "page.md")) == on_site


def test_a_link_that_leads_nowhere_is_refused(site: ModuleType, page: Path) -> None:
    page.write_text("[a](nothing.md)", encoding="utf-8")
    with pytest.raises(site.BrokenLinkError, match=r"docs/page.md: there is no nothing.md"):
        site.on_site(site.Page(page, "page.md"))


def test_each_page_stands_in_the_navigation_once(site: ModuleType) -> None:
    named = [entry.name for entry in site.entries(site.configuration()["nav"])]
    assert sorted(named) == sorted(page.name for page in site.pages())


def test_llms_txt_lists_each_page_with_its_first_sentence(site: ModuleType, tmp_path: Path) -> None:
    site.stage(tmp_path)
    config = site.configuration()
    text = site.llms_txt(config, tmp_path)
    assert text.startswith("# facepipe\n\n> ")
    entries = re.findall(r"^- \[(.+)\]\((.+)\): (.+)$", text, re.MULTILINE)
    assert [name for _, name, _ in entries] == [entry.name for entry in site.entries(config["nav"])]
    assert all((tmp_path / name).is_file() for _, name, _ in entries)
    assert all(title and len(words) > 15 for title, _, words in entries)


def test_pictures_of_the_pages_are_small() -> None:
    pictures = [path for path in (ROOT / "docs/pictures").iterdir() if path.is_file()]
    assert pictures
    assert all(path.stat().st_size < 120_000 for path in pictures)
    used = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert all(f"](pictures/{path.name})" in used for path in pictures)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    pytest.importorskip("zensical")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--into", str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def links(path: Path) -> list[str]:
    """What a built page links to and loads."""
    text = path.read_text(encoding="utf-8")
    return [html.unescape(one) for one in re.findall(r'(?:href|src)="?([^"\s>]+)', text)]


@pytest.mark.long
def test_links_of_the_built_site_lead_somewhere(built: Path) -> None:
    missing = []
    pages = [path for path in built.rglob("*.html") if path.name != "404.html"]
    ids = {
        path: set(re.findall(r'\bid="?([^"\s>]+)', path.read_text(encoding="utf-8")))
        for path in pages
    }
    for page in pages:
        for link in links(page):
            target, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:|//", target):
                continue
            file = (page.parent / unquote(target)).resolve() if target else page
            file = file / "index.html" if file.is_dir() else file
            known = file in ids and (not anchor or unquote(anchor) in ids[file])
            if not (known or (file.is_file() and file.suffix != ".html")):
                missing.append(f"{page.relative_to(built)}: {link}")
    assert len(pages) > 20
    assert not missing


@pytest.mark.long
def test_nothing_is_loaded_from_other_servers(built: Path) -> None:
    for page in built.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(
            r'<(?:script|img|iframe|link)\b[^>]*(?:src|href)="?(https?:[^"\s>]+)', text
        )
        assert not [one for one in loaded if "rel=canonical" not in one], page


@pytest.mark.long
def test_lists_are_lists(built: Path) -> None:
    """A list behind a line of text is no list to Python-Markdown."""
    for page in built.rglob("*.html"):
        prose = re.findall(r"<p>(.*?)</p>", page.read_text(encoding="utf-8"), re.DOTALL)
        assert not [one for one in prose if re.search(r"^(?:[-*]|\d+\.) ", one, re.MULTILINE)], page


@pytest.mark.long
@pytest.mark.skipif(browser.chromium() is None, reason="this machine has no Chromium")
@pytest.mark.skipif(browser.axe_source() is None, reason="axe-core is not installed")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["index", "choosing", "troubleshooting"])
def test_axe_finds_nothing_serious(built: Path, name: str, width: int, dark: bool) -> None:
    found = browser.served_findings(built, f"{name}.html", width=width, dark=dark)
    assert found["serious"] == []
    assert found["dark"] is dark  # the theme of the system
    assert found["width"] <= found["room"]

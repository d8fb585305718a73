"""Make the pictures of the pages by facepipe's own commands.

    python docs/site/pictures.py [WORD...]

Needs the extras `demo` and `test`, and Chromium for the picture of a report. The faces are those of
`examples/demo.py` (NASA's portrait of Eileen Collins, public domain) and of a poster that
`tests/media/portraits.py` draws. With words, only pictures whose name holds one are made anew.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
from PIL import Image

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs/pictures"
sys.path.insert(0, str(ROOT / "tests"))

from media import browser, portraits  # noqa: E402

#: Each sheet: its name, and what `facepipe preview` is told.
SHEETS = {
    "sheet": ["--faces", "6", "--scale", "4"],
    "scales": ["--faces", "3", "--compare", "scale=1;2;4"],
    "restorers": [
        *("--faces", "3", "--scale", "4"),
        *("--compare", "restorer=bicubic;fishsrnet;fishsrnet@natural"),
    ],
    "fidelity": ["--faces", "3", "--scale", "4", "--compare", "fidelity=0;0.3;0.7;1"],
    "strict": ["--faces", "2", "--scale", "4", "--profile", "strict"],
    "recall": ["--faces", "4", "--scale", "4", "--profile", "recall"],
}
WIDEST, QUALITY = 1000, 82


def main(words: list[str]) -> None:
    """Write docs/pictures/*.webp."""
    makers: dict[str, Callable[[Path, str], Image.Image]] = dict.fromkeys(SHEETS, sheet)
    makers |= {"compare": comparison, "report": report, "false-face": false, "struck": struck}
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo().make_video(folder / "input.mp4")
        portraits.poster_video(folder / "office.mp4")
        portraits.group_video(folder / "group.mp4")
        for name, make in makers.items():
            if not words or any(word in name for word in words):
                image = make(folder, name).convert("RGB")
                image.thumbnail((WIDEST, 4000), Image.Resampling.LANCZOS)
                image.save(PICTURES / f"{name}.webp", quality=QUALITY, method=6)
                print(f"docs/pictures/{name}.webp: {image.width}x{image.height}", flush=True)


def demo():  # type: ignore[no-untyped-def]
    """The module `examples/demo.py`."""
    spec = importlib.util.spec_from_file_location("demo", ROOT / "examples/demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def facepipe(folder: Path, *words: str) -> None:
    """Run one command in a folder."""
    print("$ facepipe", *words, flush=True)
    command = [sys.executable, "-m", "facepipe", *words, "--overwrite"]
    subprocess.run(command, cwd=folder, check=True)


def sheet(folder: Path, name: str) -> Image.Image:
    video = "group.mp4" if "--profile" in SHEETS[name] else "input.mp4"
    facepipe(folder, "preview", video, "-o", f"{name}.png", *SHEETS[name])
    return Image.open(folder / f"{name}.png")


def comparison(folder: Path, _name: str) -> Image.Image:
    """One frame of the small and the enhanced video beside each other."""
    enhanced(folder)
    facepipe(folder, "compare", "input.mp4", "clear.mp4", "-o", "both.mp4")
    with av.open(str(folder / "both.mp4")) as container:
        frames = container.decode(video=0)
        frame = next(frame for number, frame in enumerate(frames) if number == 45)
        return frame.to_image()


def report(folder: Path, _name: str) -> Image.Image:
    """The upper part of a report's page, in a browser."""
    enhanced(folder)
    facepipe(folder, "report", "clear.mp4", "-o", "report.html")
    target = folder / "report.png"
    browser.screenshot(folder / "report.html", target, width=1000, height=1100)
    return Image.open(target)


def enhanced(folder: Path) -> None:
    if not (folder / "clear.mp4").exists():
        facepipe(folder, "run", "input.mp4", "-o", "clear.mp4", "--scale", "4")


def analyzed(folder: Path) -> Path:
    if not (folder / "analysis.json").exists():
        facepipe(folder, "analyze", "office.mp4", "-o", "analysis.json")
    return folder / "analysis.json"


def false(folder: Path, name: str) -> Image.Image:
    """The sheet of an analysis in which the poster is taken for a face."""
    analyzed(folder)
    words = ["--analysis", "analysis.json", "--faces", "2", "--scale", "2"]
    facepipe(folder, "preview", "office.mp4", "-o", f"{name}.png", *words)
    return Image.open(folder / f"{name}.png")


def struck(folder: Path, name: str) -> Image.Image:
    """The same, after the poster's track was struck."""
    path = analyzed(folder)
    analysis = json.loads(path.read_text())
    largest = max(analysis["tracks"], key=lambda track: track["size_px"])
    largest["enhance"] = False
    path.write_text(json.dumps(analysis))
    return false(folder, name)


if __name__ == "__main__":
    main(sys.argv[1:])

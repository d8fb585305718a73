"""Properties of all parsers: any input gives a result or one of facepipe's own errors."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from facepipe.configs.fields import options_of
from facepipe.configs.settings import LimitSettings, Settings, load_settings
from facepipe.configs.training import load_recipe
from facepipe.errors import FacepipeError, InputError, UsageError
from facepipe.pipeline.analysis_file import read_analysis
from facepipe.pipeline.preflight import make_plan
from fuzz import (
    fuzz_analysis,
    fuzz_archive,
    fuzz_bitstream,
    fuzz_checkpoint,
    fuzz_manifest,
    fuzz_settings,
    fuzz_video,
)
from media import synthetic

SECTIONS = {
    f"{name}.{key}"
    for name, section in Settings.model_fields.items()
    for key in getattr(section.annotation, "model_fields", {})
}
KEYS = st.sampled_from(sorted(SECTIONS | {"workers", "span_seconds", "output", "detect"}))
OPTIONS = sorted(key for key, _, _ in options_of(Settings))
ODD = st.sampled_from(
    ["nan", "inf", "-1", "1e400", "9" * 5000, "[" * 3000, "{a={b={}}}", "1\n[limits]", "\0",
     "\ud800", "x" * 300, "/dev/zero", "1,2,nan,4", "2001-01-01", "[1, 'a']", "", "-", ","]
)  # fmt: skip
TEXT = st.text(max_size=40) | ODD
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NUMBERS = (
    st.integers() | st.floats() | st.sampled_from([2**63, -(2**63) - 1, 10**400, 1e308, 1e-320])
)
QUICK = settings(deadline=None, max_examples=150)


@QUICK
@given(st.lists(st.tuples(KEYS, TEXT).map("=".join) | TEXT, max_size=4))
@example(["a" + ".a" * 5000 + "=1"])
@example(["output.options=" + "{a=" * 60 + "1" + "}" * 60])
def test_assignments(assignments: list[str]) -> None:
    with contextlib.suppress(UsageError):
        load_settings(assignments=assignments)


@QUICK
@given(st.dictionaries(st.sampled_from(OPTIONS), ANYTHING, max_size=3))
def test_options(overrides: dict[str, object]) -> None:
    with contextlib.suppress(UsageError):
        load_settings(overrides=overrides)


@QUICK
@given(st.text(max_size=60), ODD, ODD)
def test_a_refusal_is_short(key: str, value: str, other: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings(assignments=[f"colour{key.replace('=', '')}={value}", f"x={other * 50}"])
    assert len(str(caught.value)) < 1000


@QUICK
@given(st.binary(max_size=200) | st.text().map(str.encode) | ODD.map(lambda t: f"a={t}"))
@example(b"a = " + b"[" * 100_000)
@example(b"[a" + b".a" * 100_000 + b"]")
@example(b"a = " + b"9" * 100_000)
@example(b"#" * (2**20 + 1))
def test_files_of_settings(tmp_path_factory: pytest.TempPathFactory, content: bytes | str) -> None:
    path = tmp_path_factory.getbasetemp() / "own.toml"
    path.write_bytes(
        content if isinstance(content, bytes) else content.encode(errors="surrogatepass")
    )
    for load in (lambda: load_settings(config=path), lambda: load_recipe(path)):
        with contextlib.suppress(UsageError):
            load()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.plain(tmp_path_factory.mktemp("video") / "in.mp4", frames=4)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "output.codec",
                "output.preset",
                "output.pix_fmt",
                "output.options",
                "output.start",
                "output.end",
                "choose.region",
                "choose.tracks",
                "detect.min_face",
                "detect.pack",
                "detect.detector",
                "restore.restorer",
                "span_seconds",
            ]
        ),
        NUMBERS | TEXT | st.dictionaries(TEXT, TEXT, max_size=2),
        min_size=1,
        max_size=2,
    )
)
@example({"output.codec": "libx264\0"})
@example({"output.pix_fmt": "\ud800"})
@example({"output.options": {"a\0": "b"}})
@example({"output.options": {"": "\ud800"}})
@example({"output.options": {"x264-params": "threads=100000:\0"}})
@example({"restore.restorer": "x" * 300 + ".safetensors"})
@example({"restore.restorer": "a\0.safetensors"})
@example({"detect.detector": "scrfd", "detect.pack": "x" * 300})
def test_what_settings_allow_can_be_planned_or_is_refused(
    video: Path, overrides: dict[str, object]
) -> None:
    with contextlib.suppress(FacepipeError):
        made = load_settings(overrides=overrides)
        make_plan(video, made, target=video.with_name("out.mkv"))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_an_analysis_edited_anywhere(data: st.DataObject) -> None:
    tree = json.loads(fuzz_analysis.seeds()["two"])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(fuzz_analysis.nodes(tree)))
        tree = fuzz_analysis.put(tree, place, data.draw(NUMBERS | ANYTHING))
        if not place:
            break
    try:
        content = json.dumps(tree).encode()
    except (ValueError, UnicodeEncodeError):
        assume(False)
    fuzz_analysis.fuzz_one(content)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(-1e6, 1e6, width=32), min_size=14, max_size=14),
            st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=4, unique=True),
        ),
        max_size=4,
    )
)
def test_absurd_faces_are_read_and_go_through_the_render_pass(
    faces: list[tuple[list[float], list[int]]],
) -> None:
    """Boxes and landmarks anywhere, of any size, inverted, at pts that no frame has."""
    tree = json.loads(fuzz_analysis.seeds()["empty"])
    for number, (values, pts) in enumerate(faces):
        knot = {
            "box": values[:4],
            "landmarks": [values[4 + 2 * k : 6 + 2 * k] for k in range(5)],
            "score": 1.0,
        }
        tree["tracks"].append(
            {
                "number": number,
                "enhance": True,
                "from_seconds": 0.0,
                "to_seconds": 0.0,
                "size_px": 0.0,
                "knots": [{"pts": at} | knot for at in sorted(pts)],
            }
        )
    fuzz_analysis.use(fuzz_analysis.read(json.dumps(tree).encode()))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"1/12800"', b'"1e999999999"'),
        (b'"1/12800"', b'"' + b"9" * 10**5 + b'"'),
        (b'"cuts": [', b'"cuts": [' + b"9" * 10**5 + b","),
        (b'"cuts": [', b'"cuts": ' + b"[" * 10**5),
        (b'"frames": 40', b'"frames": 1e400'),
        (b'"number": 1,', b'"number": 1000000000000000000000,'),
        (b'"cuts": [', b'"cuts": [99999, '),
        (b'"score": 0.9', b'"score": NaN'),
        (b'"score": 0.9', b'"score": -Infinity'),
    ],
)
def test_an_analysis_with_absurd_numbers_is_refused_at_once(old: bytes, new: bytes) -> None:
    seed = fuzz_analysis.seeds()["two"]
    assert old in seed
    with pytest.raises(InputError, match="no valid analysis"):
        fuzz_analysis.read(seed.replace(old, new, 1))


def test_an_analysis_of_10_to_the_9_tracks_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    with path.open("wb") as file:
        file.truncate(250 * 10**9)  # takes no disk
    with pytest.raises(InputError, match=r"limits\.analysis_megabytes=N lifts it"):
        read_analysis(path)


def test_more_tracks_than_allowed_are_refused() -> None:
    tree = json.loads(fuzz_analysis.seeds()["many"])
    track = tree["tracks"][0]
    tree["tracks"] = [track | {"number": number} for number in range(51)]
    with pytest.raises(InputError, match=r"51 tracks .* limits\.tracks=51 lifts it"):
        fuzz_analysis.read(json.dumps(tree).encode())
    tree["tracks"].pop()
    found = fuzz_analysis.read(json.dumps(tree).encode())
    with pytest.raises(InputError, match=r"50 faces .* limits\.faces=50 lifts it"):
        fuzz_analysis.check_crowd(found.tracks, LimitSettings(faces=49))
    fuzz_analysis.check_crowd(found.tracks, LimitSettings(faces=50))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this machine has no FIFOs")
@pytest.mark.parametrize(
    "read",
    [read_analysis, lambda path: load_settings(config=path), load_recipe],
    ids=["analysis", "settings", "recipe"],
)
def test_nothing_waits_for_a_fifo(tmp_path: Path, read: Callable[[Path], object]) -> None:
    fifo = tmp_path / "file"
    os.mkfifo(fifo)
    with pytest.raises((InputError, UsageError), match="no regular file"):
        read(fifo)


JSON_LINE = st.dictionaries(st.sampled_from(["source", "output", "x"]), ANYTHING).map(json.dumps)


@QUICK
@given(st.lists(JSON_LINE | TEXT | st.sampled_from(["in.mp4", "../in.mp4"]), max_size=5))
@example(["{" * 100_000])
@example(['{"source":' * 5000])
@example(['{"source": ' + "9" * 5000 + "}"])
@example(["x" * 100_001])
@example(['{"source": "\\ud800.mp4"}'])
@example(["x" * 5000 + ".mp4"])
def test_manifests(lines: list[str]) -> None:
    fuzz_manifest.fuzz_one("\n".join(lines).encode(errors="surrogatepass"))


EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6)


def edited(seed: bytes, edits: list[tuple[float, int]], kept: float) -> bytes:
    """The seed with some bytes changed, truncated to a share of its length."""
    content = bytearray(seed)
    for share, value in edits:
        content[min(int(share * len(content)), len(content) - 1)] = value
    return bytes(content[: int(kept * len(content))])


@pytest.mark.parametrize(
    "harness",
    [fuzz_archive, fuzz_bitstream, fuzz_video, fuzz_checkpoint, fuzz_settings, fuzz_analysis],
    ids=lambda harness: harness.__name__,
)
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_files_with_bytes_changed(harness: Any, data: st.DataObject) -> None:
    seeds = harness.seeds()
    seed = seeds[data.draw(st.sampled_from(sorted(seeds)))]
    kept = data.draw(st.sampled_from([1.0]) | st.floats(0, 1))
    harness.fuzz_one(edited(seed, data.draw(EDITS), kept))

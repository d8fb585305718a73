"""Programs of transport streams: their numbers and names pass from file to file."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facepipe.video import EncodeSettings, check_target, probe
from facepipe.video.pyav.mpegts import Program, transport_of
from media import rich_videos, synthetic
from media.video_checks import Render

FAST = EncodeSettings("libx264", (("preset", "veryfast"),))
SHOWN = Program(28106, 768, "Das Örtliche", "ACME")


@pytest.mark.parametrize("suffix", [".ts", ".m2ts"])
def test_numbers_and_names_are_kept(suffix: str, tmp_path: Path, render: Render) -> None:
    source, target = rich_videos.broadcast(tmp_path / "a.ts"), tmp_path / f"b{suffix}"
    before = transport_of(source)
    assert before is not None
    assert (before.number, before.network, before.programs) == (1101, 8438, (SHOWN,))
    found = check_target(source, probe(source), target, settings=FAST, allow_loss=True)
    render(source, target, FAST, leave_out=found.leave_out)
    after = transport_of(target)
    assert after is not None
    if suffix == ".m2ts":  # Blu-ray says itself where its table is
        after = replace(after, programs=(replace(after.programs[0], table_pid=768),))
    assert after == before
    with av.open(str(source)) as one, av.open(str(target)) as two:
        kept = [s.id for s in one.streams if s.index not in found.leave_out]
        assert [s.id for s in two.streams] == kept


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_the_name_goes_into_other_containers(suffix: str, tmp_path: Path, render: Render) -> None:
    source, target = rich_videos.broadcast(tmp_path / "a.ts"), tmp_path / f"b{suffix}"
    found = check_target(source, probe(source), target, settings=FAST, allow_loss=True)
    assert not [one for one in found.incompatibilities if "service" in one.what]
    render(source, target, FAST, leave_out=found.leave_out)
    with av.open(str(target)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    assert (tags["service_name"], tags["service_provider"]) == ("Das Örtliche", "ACME")


def test_ffprobe_reads_the_same(tmp_path: Path, render: Render) -> None:
    program = shutil.which("ffprobe")
    if program is None:
        pytest.skip("the program ffprobe is not here")
    source, target = rich_videos.broadcast(tmp_path / "a.ts"), tmp_path / "b.ts"
    render(source, target, FAST)
    asked = [program, "-v", "error", "-of", "json", "-show_programs", target]
    printed = subprocess.run(asked, capture_output=True, check=True)
    (shown,) = json.loads(printed.stdout)["programs"]
    assert (shown["program_id"], shown["pmt_pid"]) == (28106, 768)
    assert shown["tags"]["service_name"] == "Das Örtliche"


def test_no_names_where_ffmpeg_made_them_up(tmp_path: Path) -> None:
    found = transport_of(synthetic.transport_stream(tmp_path / "a.ts"))
    assert found is not None
    assert found.names == {}


def test_other_files_have_no_programs(tmp_path: Path) -> None:
    assert transport_of(synthetic.plain(tmp_path / "a.mp4")) is None
    assert transport_of(synthetic.text(tmp_path / "b.mp4")) is None


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_nothing_in_the_bytes_ends_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Tables of any content: packets with good heads, and what a fuzzer likes in them."""
    folder = tmp_path_factory.getbasetemp()
    packets = [
        bytes([0x47, 0x40 * begins | pid >> 8, pid & 0xFF, 0x10 | 0x20 * field])
        + data.draw(st.binary(min_size=184, max_size=184))
        for pid, begins, field in data.draw(
            st.lists(
                st.tuples(st.sampled_from([0, 0x11]), st.integers(0, 1), st.integers(0, 1)),
                min_size=6,
                max_size=9,
            )
        )
    ]
    path = folder / "fuzzed.ts"
    path.write_bytes(b"".join(packets))
    found = transport_of(path)
    assert found is None or found.programs

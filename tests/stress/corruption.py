"""Corrupt videos through the whole program: each is enhanced or refused, nothing else.

    FACEPIPE_TEST_MEDIA=clips python tests/stress corruption --count 2000

Each video is a real clip, cut to about a second by copying packets, or one that
tests/media/synthetic.py makes. Bits are flipped, ranges zeroed or cut, blocks shuffled, the header
damaged, or the sizes of boxes changed. The same --seed and number do the same to the same clips;
--keep FOLDER keeps the clips and every video that failed. Each goes through `facepipe.enhance` in a
process that stays alive for the next. A result must decode to its last frame, and no picture of it
may look worse than the source's, read from end to end, unless that was reported; a refusal must
leave nothing under the target's name.

Exit code 1 if any video caused a traceback, a crash, a hang, or a wrong or damaged result.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

import av
import psutil

from facepipe.video.pyav.texts import TEXTS
from media import portraits, synthetic
from stress.pictures import enhanced_stream, worse

#: Pixels in all frames of a shortened clip; small videos are quick.
PIXELS = 5_000_000
#: Processor time that one video may take, its workers' included. A busy machine takes none of it.
CPU_SECONDS = 60
#: What waits for something that does not come uses no processor time.
PATIENCE_SECONDS = 1200
FAILURES = ("traceback", "crash", "hang", "undecodable", "worse", "left over", "source changed")


@dataclass(frozen=True)
class Verdict:
    """The outcome of one video."""

    number: int
    clip: str
    damage: str
    outcome: str  # done, refused or one of FAILURES
    message: str
    seconds: float
    megabytes: float  # peak memory of its process until then


# --- clips -------------------------------------------------------------------------------------


def make_clips(folder: Path, media: str | None) -> list[Path]:
    """Make the intact clips: real ones cut short, and synthetic ones in other containers."""
    real = sorted(Path(media).iterdir()) if media else []
    for clip in real:
        with suppress(av.FFmpegError, ValueError):
            shorten(clip, folder / clip.name)
    portraits.video(folder / "faces.mp4", frames=16)
    portraits.video(folder / "faces.mkv", frames=16)
    portraits.video(folder / "faces.ts", frames=16)
    made = {
        "plain.mp4": partial(synthetic.plain, frames=20),
        "plain.mkv": partial(synthetic.plain, frames=20),
        "fast_start.mp4": synthetic.streamable,
        "fragmented.mp4": partial(
            synthetic.video, audio=1, container_options={"movflags": "frag_keyframe+empty_moov"}
        ),
        "vfr.mp4": synthetic.vfr,
        "negative_start.mp4": synthetic.negative_start,
        "rotated.mp4": synthetic.rotated,
        "anamorphic.mov": synthetic.anamorphic,
        "subtitled.mkv": synthetic.subtitled,
        "two_audios.mp4": synthetic.two_audios,
        "hdr.mp4": synthetic.hdr,
        "open_gop.mkv": synthetic.open_gop,
        "interlaced.mkv": synthetic.interlaced,
        "transport.ts": synthetic.transport_stream,
        "motion.avi": synthetic.motion_jpeg,
        "vp9.webm": synthetic.vp9,
        "ffv1.mkv": synthetic.odd_size,
        "rgb.mkv": synthetic.lossless_rgb,
        "gray.nut": synthetic.gray,
        "mpeg4.avi": partial(
            synthetic.video, codec="mpeg4", pts=range(20), time_base=Fraction(1, 25)
        ),
        "flash.flv": partial(synthetic.video, codec="flv1", frames=20),
        "prores.mov": partial(synthetic.video, codec="prores_ks", pix_fmt="yuv422p10le", frames=6),
    }
    for name, make in made.items():
        try:
            make(folder / name)
        except (av.FFmpegError, ValueError) as error:  # an encoder that this PyAV lacks
            print(f"{name} is left out: {error}")
            (folder / name).unlink(missing_ok=True)
    return sorted(folder.iterdir())


def shorten(clip: Path, target: Path) -> None:
    """The clip's first frames, all streams, by copying packets."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as out:
        video = source.streams.video[0]
        frames = max(8, min(25, PIXELS // (video.width * video.height)))
        copies = {}
        for stream in source.streams:
            with suppress(ValueError):
                copies[stream.index] = out.add_stream_from_template(stream, opaque=True)
        seen = 0
        for packet in source.demux([source.streams[index] for index in copies]):
            if not packet.size or packet.dts is None:
                continue
            seen += packet.stream.index == video.index
            if seen > frames:
                break
            packet.stream = copies[packet.stream.index]
            out.mux(packet)


# --- damage ------------------------------------------------------------------------------------


def flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(2 ** rng.randrange(0, 9)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def overwrite(data: bytearray, rng: random.Random) -> None:
    start, size = _range(data, rng)
    data[start : start + size] = rng.randbytes(size)


def zero(data: bytearray, rng: random.Random) -> None:
    start, size = _range(data, rng)
    data[start : start + size] = bytes(size)


def cut_tail(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(1, len(data)) :]


def cut_head(data: bytearray, rng: random.Random) -> None:
    del data[: rng.randrange(1, max(len(data) // 2, 2))]


def cut_out(data: bytearray, rng: random.Random) -> None:
    start, size = _range(data, rng)
    del data[start : start + size]


def repeat(data: bytearray, rng: random.Random) -> None:
    start, size = _range(data, rng)
    data[start:start] = data[start : start + size]


def shuffle(data: bytearray, rng: random.Random) -> None:
    size = 2 ** rng.randrange(5, 13)
    blocks = [data[at : at + size] for at in range(0, len(data), size)]
    first = rng.randrange(len(blocks))
    some = blocks[first : first + rng.randrange(2, 17)]
    rng.shuffle(some)
    blocks[first : first + len(some)] = some
    data[:] = b"".join(blocks)


def head(data: bytearray, rng: random.Random) -> None:
    reach = min(len(data), 2 ** rng.randrange(4, 12))
    for _ in range(rng.randrange(1, 17)):
        data[rng.randrange(reach)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


#: Names of boxes and codecs in MP4 and MOV, of chunks in AVI; element ids of Matroska.
_MARKS = (
    *(b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"stts", b"ctts", b"stsz", b"stsc"),
    *(b"stco", b"co64", b"stss", b"elst", b"mvhd", b"tkhd", b"mdhd", b"hdlr", b"avcC", b"hvcC"),
    *(b"esds", b"mdat", b"moof", b"traf", b"tfhd", b"trun", b"udta", b"meta", b"ilst", b"avc1"),
    *(b"hvc1", b"mp4a", b"tx3g", b"colr", b"pasp", b"dref", b"idx1", b"LIST", b"movi", b"strf"),
    *(b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b"),
    *(b"\x1f\x43\xb6\x75", b"\x1c\x53\xbb\x6b", b"\xe0", b"\xa3", b"\xbf", b"\x63\xa2"),
)


def boxes(data: bytearray, rng: random.Random) -> None:
    """Change the size before a box's name, or after an element's id."""
    for _ in range(rng.randrange(1, 5)):
        mark = rng.choice(_MARKS)
        found = []
        at = data.find(mark)
        while at >= 0 and len(found) < 200:
            found.append(at)
            at = data.find(mark, at + 1)
        if not found:
            continue
        at = rng.choice(found)
        new = rng.choice((0, 1, 7, 8, 2**31 - 1, 2**31, 2**32 - 1, rng.randrange(2**32)))
        if rng.random() < 0.4:
            old = int.from_bytes(data[max(at - 4, 0) : at], "big")
            new = (old + rng.randrange(-16, 17)) % 2**32
        where = at - 4 if mark.isalnum() and rng.random() < 0.5 else at + len(mark)
        where = min(max(where + rng.choice((0, 0, 4, 8)), 0), max(len(data) - 4, 0))
        data[where : where + 4] = new.to_bytes(4, "big")


DAMAGES = (flip, overwrite, zero, cut_tail, cut_head, cut_out, repeat, shuffle, head, boxes, boxes)


def _range(data: bytearray, rng: random.Random) -> tuple[int, int]:
    size = min(2 ** rng.randrange(0, 15), len(data))
    return rng.randrange(len(data) - size + 1), size


def corrupted(clips: list[Path], seed: int, number: int) -> tuple[str, str, bytes]:
    """The file name of video `number`, the names of its damages, and its bytes."""
    rng = random.Random(f"{seed} {number}")
    clip = rng.choice(clips)
    data = bytearray(clip.read_bytes())
    chosen = rng.choices(DAMAGES, k=rng.choice((1, 1, 2, 3)))
    for damage in chosen:
        if len(data) > 1:
            damage(data, rng)
    return clip.name, "+".join(damage.__name__ for damage in chosen), bytes(data)


# --- one video through the program -------------------------------------------------------------


def work(pipe: Connection, clips: list[Path], seed: int, folder: Path) -> None:
    """Take numbers from the pipe and send verdicts back; runs in a process of its own."""
    from facepipe.workers.local import LocalExecutor

    faulthandler.enable()
    av.logging.set_level(None)
    with LocalExecutor(1) as executor:
        while True:
            number = pipe.recv()
            if number is None:
                return
            pipe.send(judge(clips, seed, number, folder, executor))


def judge(
    clips: list[Path], seed: int, number: int, folder: Path, executor: object = None
) -> Verdict:
    """Make video `number`, enhance it and check the result."""
    from facepipe import FacepipeError, enhance
    from facepipe.configs.settings import load_settings

    name, damage, data = corrupted(clips, seed, number)
    own = folder / str(number)
    own.mkdir()
    source = own / name
    source.write_bytes(data)
    suffix = source.suffix if source.suffix in (".mp4", ".mov", ".mkv", ".ts", ".nut") else ".mkv"
    target = own / f"made{'.mkv' if number % 3 == 0 else suffix}"
    settings = load_settings(assignments=["workers=1", "output.preset=ultrafast"])
    began = time.monotonic()
    try:
        done = enhance(source, target, settings, executor=executor)  # type: ignore[arg-type]
    except FacepipeError as error:
        outcome, message = "refused", f"{type(error).__name__}: {error}"
        if target.exists():
            outcome = "left over"
    except Exception:  # noqa: BLE001 (this is what the test looks for)
        outcome, message = "traceback", traceback.format_exc()
    else:
        outcome, message = "done", "; ".join(done.warnings)
        problem = decode_error(target, done.frames)
        if problem:
            outcome, message = "undecodable", problem
        elif problem := worse(source, target):
            outcome, message = "worse", problem
    seconds = time.monotonic() - began
    if source.read_bytes() != data:
        outcome = "source changed"
    stray = {source.name, target.name, f"{target.name}.facepipe.json"}
    stray.add(f".{target.name}.facepipe")  # what is finished is kept for another try
    if outcome in ("done", "refused") and {p.name for p in own.iterdir()} - stray:
        outcome, message = "left over", str(sorted(p.name for p in own.iterdir()))
    if outcome in ("done", "refused"):
        remove(own)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Verdict(number, name, damage, outcome, message, seconds, most)


def decode_error(target: Path, frames: int) -> str:
    """Why the video does not decode to so many frames; empty where it does."""
    found = 0
    try:
        with av.open(str(target), **TEXTS) as video:
            stream = video.streams[enhanced_stream(target)]
            for _ in video.decode(stream):
                found += 1
    except av.FFmpegError as error:
        return f"after {found} of {frames} frames: {error}"
    return "" if found == frames else f"{found} of {frames} frames decode"


def remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


# --- many ---------------------------------------------------------------------------------------


class Worker:
    """A process that judges one video after another, and is replaced when one ends it."""

    def __init__(self, clips: list[Path], seed: int, folder: Path) -> None:
        self._arguments = (clips, seed, folder)
        self.number: int | None = None
        self.begun = self._used = 0.0
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, *self._arguments), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, number: int | None) -> None:
        self.number, self.begun, self._used = number, time.monotonic(), self._cpu_seconds()
        with suppress(OSError):
            self.pipe.send(number)

    def verdict(self) -> Verdict | None:
        """The verdict on its video, None while it runs; the first video may take longer."""
        assert self.number is not None
        try:
            if self.pipe.poll():
                return self.pipe.recv()  # type: ignore[no-any-return]
        except (EOFError, OSError):
            self.process.join()
            return self._ended("crash", f"exit code {self.process.exitcode}")
        reason = self._why_hung()
        if reason is not None:
            self.process.kill()
            self.process.join()
            return self._ended("hang", reason)
        return None

    def _why_hung(self) -> str | None:
        if time.monotonic() - self.begun > PATIENCE_SECONDS:
            return f"more than {PATIENCE_SECONDS} s"
        used = self._cpu_seconds() - self._used
        return f"more than {CPU_SECONDS} s of processor time" if used > CPU_SECONDS else None

    def _cpu_seconds(self) -> float:
        """What the process has used, and those that it started and that still run."""
        seconds = 0.0
        with suppress(psutil.Error):
            own = psutil.Process(self.process.pid)
            for process in (own, *own.children(recursive=True)):
                with suppress(psutil.Error):
                    times = process.cpu_times()
                    seconds += times.user + times.system
        return seconds

    def _ended(self, outcome: str, message: str) -> Verdict:
        assert self.number is not None
        name, damage, _ = corrupted(self._arguments[0], self._arguments[1], self.number)
        seconds = time.monotonic() - self.begun
        self._start()
        return Verdict(self.number, name, damage, outcome, message, seconds, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="number of the first video")
    parser.add_argument("--only", type=int, nargs="*", help="these numbers alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="videos at the same time")
    parser.add_argument(
        "--keep", type=Path, help="folder for failed videos and the list of verdicts"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.keep or Path(made) / "kept"
        whole = folder / "clips"
        if whole.is_dir():
            clips = sorted(whole.iterdir())
        else:
            whole.mkdir(parents=True)
            clips = make_clips(whole, os.environ.get("FACEPIPE_TEST_MEDIA"))
        numbers = options.only or list(range(options.first, options.first + options.count))
        verdicts = run(clips, numbers, options.seed, options.workers, folder)
        clips_mark = hashlib.sha256(b"".join(clip.read_bytes() for clip in clips)).hexdigest()[:12]
        print(f"{len(clips)} clips (sha256 {clips_mark}), seed {options.seed}")
        failures = report(verdicts)
        for verdict in verdicts:
            if verdict.outcome in ("crash", "hang"):
                print(f"video {verdict.number} by two workers: {isolated(clips, options, verdict)}")
    sys.exit(1 if failures else 0)


def run(
    clips: list[Path], numbers: list[int], seed: int, count: int, folder: Path
) -> list[Verdict]:
    verdicts: list[Verdict] = []
    waiting = list(reversed(numbers))
    workers = [Worker(clips, seed, folder) for _ in range(min(count, len(waiting)))]
    for worker in workers:
        worker.give(waiting.pop())
    log = (folder / "verdicts.jsonl").open("a")
    while busy := [worker for worker in workers if worker.number is not None]:
        wait([worker.pipe for worker in busy], timeout=1)
        for worker in busy:
            verdict = worker.verdict()
            if verdict is None:
                continue
            verdicts.append(verdict)
            log.write(json.dumps(asdict(verdict)) + "\n")
            log.flush()
            if verdict.outcome in FAILURES:
                print(f"{verdict.outcome}: video {verdict.number}, {verdict.clip} {verdict.damage}")
                print("  " + verdict.message.strip().replace("\n", "\n  "), flush=True)
            if waiting:
                worker.give(waiting.pop())
            else:
                worker.number = None
                worker.pipe.send(None)
    return sorted(verdicts, key=lambda verdict: verdict.number)


def report(verdicts: list[Verdict]) -> int:
    """Print the counts; how many videos failed."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    for outcome in ("done", "refused", *FAILURES):
        print(f"{outcome:16}{counts[outcome]:6}")
    slowest = max(verdicts, key=lambda verdict: verdict.seconds)
    print(f"{'all':16}{len(verdicts):6}")
    print(f"the slowest took {slowest.seconds:.1f} s (video {slowest.number}, {slowest.clip})")
    print(f"peak memory of a process: {max(v.megabytes for v in verdicts):.0f} MB")
    damages = Counter(name for v in verdicts for name in v.damage.split("+"))
    print("damage: " + ", ".join(f"{name} {n}" for name, n in sorted(damages.items())))
    return sum(counts[outcome] for outcome in FAILURES)


def isolated(clips: list[Path], options: argparse.Namespace, verdict: Verdict) -> str:
    """How `facepipe run` with two workers ends on a video that ended a process."""
    name, _, data = corrupted(clips, options.seed, verdict.number)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / name
        source.write_bytes(data)
        command = [sys.executable, "-m", "facepipe", "run", str(source), "-q", "--workers", "2"]
        command += ["-o", f"{folder}/made.mkv", "--preset", "ultrafast"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
            )
        except subprocess.TimeoutExpired:
            return "hangs too"
    return f"exit code {done.returncode}; {done.stderr.strip()[-300:]}"

"""Report: one page on an analysis or an output, with faces before and after and a timeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from facepipe.configs.settings import Settings
from facepipe.datatypes import Track, VideoInfo
from facepipe.presentation.charts import Curve, Stretch, curve, timeline
from facepipe.presentation.document_views import document_info, document_views
from facepipe.presentation.documents import Document, settings_lines
from facepipe.presentation.moments import telling_tracks
from facepipe.presentation.page import ShownView, render_page, shown_views
from facepipe.presentation.refusals import Refusal, explain, grouped
from facepipe.presentation.views import FaceView
from facepipe.presentation.words import clock, summary
from facepipe.workers.base import Executor

#: Tracks that are shown with images, bars of the timeline, and rows of its table, at most: of
#: more, those that tell most. The files themselves hold all.
MOST_TRACKS, _MOST_BARS, _MOST_ROWS = 500, 2000, 200


@dataclass(frozen=True)
class ShownTrack:
    """A track as a template takes it; times in seconds from the first frame."""

    number: int
    begin: float
    end: float
    size: float
    views: tuple[ShownView, ...]
    curves: tuple[Curve, ...]
    refusal: Refusal | None


@dataclass(frozen=True)
class ShownGroup:
    """Refused tracks of one kind of reason; `tracks` are those that are shown of `count`."""

    refusal: Refusal
    count: int
    tracks: tuple[ShownTrack, ...]


@dataclass(frozen=True)
class _Times:
    """Seconds from the first frame, by pts."""

    tick: float
    begin: float

    @staticmethod
    def of(document: Document, info: VideoInfo | None) -> _Times:
        if info is None:
            return _Times(document.tick, document.begin)
        return _Times(float(info.time_base), float(info.pts[0] * info.time_base))

    def at(self, pts: int) -> float:
        return pts * self.tick - self.begin

    def moved(self, stretch: Stretch) -> Stretch:
        """A stretch by the source's clock, from the first frame on."""
        return replace(stretch, begin=stretch.begin - self.begin, end=stretch.end - self.begin)


def make_report(document: Document, settings: Settings, *, executor: Executor | None = None) -> str:
    """The page of a document, as HTML.

    The faces of an output are read of it; those of an analysis are rendered anew by `settings`.
    Without the source there are no images, and the page says so. Errors: those of decoding.
    """
    info = document_info(document, settings.limits)
    times = _Times.of(document, info)
    chosen = [track for track, _ in telling_tracks(document.tracks, MOST_TRACKS)]
    views = document_views(document, info, chosen, settings, executor)
    tracks = _shown_tracks(chosen, views, times)
    enhanced = [track for track in document.tracks if track.enhance]
    return render_page(
        "report.html",
        title=f"Report on {document.source_name or document.path.name}",
        subtitle=summary(document.tracks, done=document.sidecar is not None),
        facts=_facts(document, info),
        notes=_notes(document, shown=bool(views)),
        warnings=document.warnings,
        labels=("before", "after"),
        enhanced=_known(tracks, enhanced),
        enhanced_count=len(enhanced),
        refused=[
            ShownGroup(refusal, len(group), _known(tracks, group))
            for refusal, group in grouped(document.tracks)
        ],
        refused_count=len(document.tracks) - len(enhanced),
        elsewhere=document.path.name,
        settings=settings_lines(document.settings) if document.settings else None,
        versions=sorted(document.sidecar.versions.items()) if document.sidecar else (),
        **_timeline(document, info, times),
    )


def _known(shown: Mapping[int, ShownTrack], tracks: Iterable[Track]) -> tuple[ShownTrack, ...]:
    """Those of the tracks that the page shows."""
    return tuple(shown[track.number] for track in tracks if track.number in shown)


def _shown_tracks(
    tracks: Sequence[Track], views: Sequence[FaceView], times: _Times
) -> Mapping[int, ShownTrack]:
    """The tracks by their number, each with its views and curves."""
    images: dict[int, list[ShownView]] = {}
    for shown in shown_views(views):
        images.setdefault(shown.number, []).append(shown)
    invented: dict[int, list[tuple[float, float]]] = {}
    for view in views:
        if view.invented is not None:
            at = invented.setdefault(view.moment.track.number, [])
            at.append((view.seconds, view.invented * 100))
    return {
        track.number: ShownTrack(
            number=track.number,
            begin=times.at(track.first),
            end=times.at(track.last),
            size=track.size,
            views=tuple(images.get(track.number, ())),
            curves=_curves(track, times, invented.get(track.number, ())),
            refusal=None if track.enhance else explain(track.reason),
        )
        for track in tracks
    }


def _curves(
    track: Track, times: _Times, invented: Sequence[tuple[float, float]]
) -> tuple[Curve, ...]:
    """Size, score and the share that was invented over time, of an enhanced track."""
    if not track.enhance:
        return ()
    at = [times.at(int(pts)) for pts in track.pts]
    drawn = (
        curve("size", list(zip(at, map(float, _sizes(track)), strict=True)), "{:.0f} px"),
        curve("score", list(zip(at, map(float, track.scores), strict=True)), "{:.2f}", (0, 1)),
        curve("invented", invented, "{:.0f} %", (0, 100)),
    )
    return tuple(one for one in drawn if one is not None)


def _sizes(track: Track) -> list[float]:
    sides = track.boxes[:, 2:] - track.boxes[:, :2]
    return [float(max(w * h, 0)) ** 0.5 for w, h in sides]


def _timeline(document: Document, info: VideoInfo | None, times: _Times) -> dict[str, object]:
    """The drawn timeline, what it shows in words, and its stretches as rows of a table."""
    bars = [
        Stretch(
            times.at(track.first),
            times.at(track.last),
            f"track {track.number}, {track.size:.0f} px, {clock(times.at(track.first))} to "
            f"{clock(times.at(track.last))}",
            marked=track.enhance,
        )
        for track, _ in telling_tracks(document.tracks, _MOST_BARS)
    ]
    cuts = [cut - times.begin for cut in document.cuts]
    damage = [times.moved(one) for one in document.damage]
    copied = [times.moved(one) for one in document.copied]
    seconds = max([info.seconds if info else 0.0, *(one.end for one in (*bars, *damage, *copied))])
    rows = [
        *(replace(one, text=f"damaged: frames that {one.text}") for one in damage),
        *(replace(one, text="copied from the source, bit for bit") for one in copied),
        *(
            replace(times.moved(one), text=f"not enhanced: {one.text}")
            for one in document.unenhanced
        ),
    ]
    return {
        "line": timeline(seconds, bars, cuts=cuts, damage=damage, copied=copied),
        "line_text": f"Timeline of {clock(seconds)}: {summary(document.tracks)}; "
        f"{len(cuts)} scenes begin after the first, {len(damage)} damaged stretches, "
        f"{len(copied)} copied ones. The lists below have the times of each.",
        "stretches": sorted(rows, key=lambda one: one.begin)[:_MOST_ROWS],
    }


def _facts(document: Document, info: VideoInfo | None) -> list[tuple[str, str]]:
    """What the report is about, as pairs of a name and a value."""
    size = f"{document.width}x{document.height} px, {document.frames:,} frames"
    length = f", {clock(info.seconds)}" if info and len(info.pts) > 1 else ""
    facts = [
        ("Source", document.source_name or "not named"),
        ("Source's size", size + length),
        ("Source's SHA-256", document.source_sha256),
    ]
    sidecar = document.sidecar
    if sidecar is None:
        return facts
    made = sidecar.output
    encoder = f", {made.encoder} {made.pixel_format}" if made.encoder else ""
    model = sidecar.model
    return [
        *facts,
        ("Output", made.name),
        ("Output's size", f"{made.width}x{made.height} px, {made.frames:,} frames{encoder}"),
        ("Output's SHA-256", made.sha256),
        ("Faces enhanced", f"{sidecar.faces_enhanced:,}, counted over all frames"),
        ("Restorer", ", ".join([model.restorer, *model.runs_on])),
        *((f"SHA-256 of {name}", sha256) for name, sha256 in model.files.items()),
    ]


def _notes(document: Document, *, shown: bool) -> list[str]:
    """What the page lacks, or shows otherwise than one may think."""
    if document.source is None:
        return [
            "There are no images here: the source was not found beside the report, or is another "
            "file. --source FILE names it."
        ]
    if document.sidecar is None and shown:
        return [
            "This is an analysis: nothing was written yet. The enhanced faces here were rendered "
            "for this page alone."
        ]
    if document.sidecar is not None and document.output is None:
        return ["The output was not found beside its report, so the faces are shown before alone."]
    return []

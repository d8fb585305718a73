"""Selection of the tracks to enhance: by number, by region, by size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe._system.files import is_there
from facepipe.configs.settings import ChooseSettings
from facepipe.datatypes import Float64, Track, VideoInfo
from facepipe.errors import UsageError

#: Takes (N, 2) points of the video as it is shown to (N,) whether they lie in the region.
Within = Callable[[Float64], NDArray[np.bool_]]


def choose(tracks: Sequence[Track], wanted: ChooseSettings, info: VideoInfo) -> tuple[Track, ...]:
    """The tracks; those that `wanted` leaves out are refused with a reason.

    Regions are in pixels of the video as it is shown, after rotation. A track lies in one where the
    centre of its box does at half of its knots or more. Of two of a size the first is the larger.
    Raises UsageError for a number that no track has, and for a region or mask that does not fit.
    """
    _check_numbers(wanted.tracks or (), {track.number for track in tracks})
    within = region_of(wanted, info)
    chosen: list[Track] = []
    for track in tracks:
        reason = None
        if wanted.tracks is not None and track.number not in wanted.tracks:
            reason = "not among --tracks"
        elif within is not None and not within(_middles(track, info)).mean() >= 0.5:
            reason = "outside --region"
        chosen.append(track if reason is None else _refused(track, reason))
    return tuple(chosen if wanted.largest is None else _largest(chosen, wanted.largest))


def _check_numbers(wanted: Iterable[int], known: Collection[int]) -> None:
    """Raise UsageError for a number that no track has."""
    unknown = sorted(set(wanted).difference(known))
    if unknown:
        have = f"1 to {max(known)}" if known else "none at all"
        raise UsageError(f"--tracks: there is no track {unknown[0]}; tracks here: {have}")


def _largest(tracks: Sequence[Track], count: int) -> list[Track]:
    """The tracks; of those that are enhanced, all but the `count` largest are refused."""
    enhanced = sorted((track for track in tracks if track.enhance), key=lambda track: -track.size)
    small = {track.number for track in enhanced[count:]}
    reason = f"not among the {count} largest"
    return [_refused(track, reason) if track.number in small else track for track in tracks]


def _refused(track: Track, reason: str) -> Track:
    return replace(track, enhance=False, reason=reason) if track.enhance else track


def _middles(track: Track, info: VideoInfo) -> Float64:
    """(K, 2) the centres of the boxes, in the video as it is shown."""
    points = (track.boxes[:, :2] + track.boxes[:, 2:]).astype(np.float64) / 2
    width, height = info.width, info.height
    for _ in range(round(info.rotation / 90) % 4):
        points = np.stack((points[:, 1], width - 1 - points[:, 0]), 1)
        width, height = height, width
    return points


def _shown_size(info: VideoInfo) -> tuple[int, int]:
    turned = round(info.rotation / 90) % 2
    return (info.height, info.width) if turned else (info.width, info.height)


def region_of(wanted: ChooseSettings, info: VideoInfo) -> Within | None:
    """The region in which faces are wanted, None: everywhere. Raises UsageError as `choose`."""
    if wanted.region is None:
        return None
    size = _shown_size(info)
    if isinstance(wanted.region, Path):
        return _within_mask(wanted.region, size)
    x, y, width, height = wanted.region
    if x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0:
        raise UsageError(
            f"--region {x:g},{y:g},{width:g},{height:g} lies outside the video of "
            f"{size[0]}x{size[1]} px"
        )
    low, high = np.array([x, y]), np.array([x + width, y + height])
    return lambda points: np.asarray(((points >= low) & (points < high)).all(1))


def _within_mask(path: Path, size: tuple[int, int]) -> Within:
    """The region of a mask image of the video's shape, light where faces are wanted."""
    if not is_there(path) or not path.is_file():
        raise UsageError(f"--region {path}: this image cannot be read (no such file)")
    try:
        mask = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
    except (OSError, cv2.error) as error:
        raise UsageError(f"--region {path}: this image cannot be read ({error})") from error
    if mask is None:
        raise UsageError(f"--region {path}: no image that OpenCV reads")
    height, width = mask.shape
    if abs(width / height - size[0] / size[1]) > 0.02 * size[0] / size[1]:
        raise UsageError(
            f"--region {path}: a mask of {width}x{height} px has not the shape of the video, "
            f"{size[0]}x{size[1]}"
        )
    ratio = np.array([width / size[0], height / size[1]])

    def light(points: Float64) -> NDArray[np.bool_]:
        places = np.clip(((points + 0.5) * ratio).astype(int), 0, [width - 1, height - 1])
        return np.asarray(mask[places[:, 1], places[:, 0]] >= 128)

    return light

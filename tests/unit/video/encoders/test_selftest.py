"""Self-test of encoders and devices in other processes: what works, why not, and crashes."""

from __future__ import annotations

import psutil
import pytest

from facepipe.errors import UsageError
from facepipe.video.encoders.selftest import ENCODERS, devices, is_hardware, require_usable, try_all
from facepipe.video.encoders.settings import find_encoder

SOFTWARE = ["libx264", "libx264rgb", "libx265", "libsvtav1", "libvpx-vp9", "ffv1", "prores_ks"]


def test_all_are_tried_and_each_that_fails_says_why() -> None:
    names = [*ENCODERS, *(f"device:{kind}" for kind in devices())]
    trials = list(try_all(names))
    assert [(t.kind, t.name) for t in trials] == [
        ("device", n.removeprefix("device:")) if n.startswith("device:") else ("encoder", n)
        for n in names
    ]
    by_name = {trial.name: trial for trial in trials if trial.kind == "encoder"}
    assert all(by_name[name].works for name in SOFTWARE)
    assert by_name["libx265"].detail == "8, 10, 12 bit"
    for trial in trials:
        assert trial.works == (not trial.why)
        if not trial.works and trial.kind == "encoder":
            try:
                find_encoder(trial.name)
            except UsageError:
                assert trial.why == "not in this build of PyAV"
            else:
                assert trial.why != "not in this build of PyAV"


def test_a_crash_takes_one_encoder_and_the_rest_go_on() -> None:
    trials = try_all(["libsvtav1"] * 300)
    found = [next(trials)]
    for child in psutil.Process().children():
        child.kill()
    found += list(trials)
    assert len(found) == 300
    broken = [trial for trial in found if not trial.works]
    assert [trial.why for trial in broken] == ["its driver crashed or hung"]


def test_a_software_encoder_is_not_tried_first() -> None:
    assert not is_hardware("libx264")
    assert not is_hardware("prores_ks")
    assert is_hardware("h264_nvenc")
    assert is_hardware("vp8_v4l2m2m")
    require_usable("libx264")


@pytest.mark.parametrize("encoder", ["h264_nvenc", "hevc_qsv", "av1_amf", "h264_v4l2m2m"])
def test_a_hardware_encoder_works_or_is_refused_with_what_does(encoder: str) -> None:
    trial = next(try_all([encoder]))
    if trial.works:  # on a machine that has the device
        require_usable(encoder)
        return
    with pytest.raises(UsageError) as caught:
        require_usable(encoder)
    message = str(caught.value)
    assert message.startswith(f"{encoder} does not work here ({trial.why})")
    software = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}[encoder.split("_")[0]]
    assert software in message


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(UsageError, match="no encoder 'h264_vaapi9'"):
        find_encoder("h264_vaapi9")
    with pytest.raises(UsageError, match="no encoder 'warp_nvenc'"):
        require_usable("warp_nvenc")

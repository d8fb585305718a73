"""Images in terminals that show them."""

from __future__ import annotations

import base64
import re

import pytest

from facepipe.cli.commands import _repeated
from facepipe.cli.terminal import image_codes, image_protocol, show_image


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux"}, None),
        ({}, None),
    ],
)
def test_the_protocol_is_that_of_the_terminal(
    environment: dict[str, str], protocol: str | None
) -> None:
    assert image_protocol(environment) == protocol


@pytest.mark.parametrize("protocol", ["kitty", "iterm"])
def test_the_codes_hold_the_whole_image(protocol: str) -> None:
    png = bytes(range(256)) * 40
    codes = "".join(image_codes(png, protocol))  # type: ignore[arg-type]
    if protocol == "kitty":
        pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", codes)
        assert [head.endswith("m=1") for head, _ in pieces[:-1]] == [True] * (len(pieces) - 1)
        assert pieces[-1][0].endswith("m=0")
        text = "".join(piece for _, piece in pieces)
    else:
        text = codes.partition(":")[2].rstrip("\a\n")
    assert base64.b64decode(text) == png


def test_nothing_is_shown_where_stdout_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert not show_image(b"png")
    assert capsys.readouterr().out == ""


def test_compare_may_stand_once_before_several() -> None:
    words = ["in.mp4", "--compare", "fidelity=0.3;0.7", "restorer=a;b", "-o", "out.png"]
    assert _repeated(words) == [
        "in.mp4", "--compare", "fidelity=0.3;0.7", "--compare", "restorer=a;b", "-o", "out.png",
    ]  # fmt: skip
    assert _repeated(["--compare", "a=1;2", "in.mp4"]) == ["--compare", "a=1;2", "in.mp4"]

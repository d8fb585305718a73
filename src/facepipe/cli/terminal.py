"""Images in terminals that show them: the protocols of kitty and of iTerm2."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Literal

Protocol = Literal["kitty", "iterm"]
#: Bytes of a piece that kitty takes at once.
_PIECE = 4096


def image_protocol(environment: Mapping[str, str]) -> Protocol | None:
    """How a terminal of that environment shows images, None: it does not, or is not asked."""
    if environment.get("TMUX") or environment.get("STY"):  # which pass no images on
        return None
    program = environment.get("TERM_PROGRAM", "").lower()
    if environment.get("TERM") in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
        return "kitty"
    return "iterm" if program in ("iterm.app", "wezterm") else None


def image_codes(png: bytes, protocol: Protocol) -> Iterator[str]:
    """The escape codes that show a PNG file in the terminal."""
    text = base64.b64encode(png).decode()
    if protocol == "iterm":
        yield f"\x1b]1337;File=inline=1;size={len(png)};width=100%:{text}\a\n"
        return
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)] or [""]
    for number, piece in enumerate(pieces):
        begin = "a=T,f=100," if number == 0 else ""
        more = int(number < len(pieces) - 1)
        yield f"\x1b_G{begin}m={more};{piece}\x1b\\"
    yield "\n"


def show_image(png: bytes) -> bool:
    """Show a PNG file on stdout where that is a terminal which can; whether it did."""
    protocol = image_protocol(os.environ) if sys.stdout.isatty() else None
    if protocol is None:
        return False
    sys.stdout.writelines(image_codes(png, protocol))
    sys.stdout.flush()
    return True

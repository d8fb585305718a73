"""The command `ui`: a page on this machine, to choose faces and settings, run and download."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from facepipe.cli.machine import note_result
from facepipe.cli.results import ServedResult


def ui(
    named: Annotated[
        Path,
        typer.Argument(
            metavar="VIDEO|FOLDER",
            help="what to work on",
            readable=False,
            show_default="this folder",
        ),
    ] = Path(),
    port: Annotated[
        int, typer.Option(help="on which the page is served; 0: one that is free", min=0, max=65535)
    ] = 0,
    open_: Annotated[
        bool, typer.Option("--open/--no-open", help="open the page in the browser")
    ] = True,
) -> ServedResult:
    """Serve a page on this machine alone, and print its address; Ctrl-C ends it."""
    from facepipe.ui.server import serve

    served: list[str] = []

    def ready(address: str, address_for_once: str) -> None:
        served.append(address)
        note_result(ServedResult(address))
        print(address, flush=True)
        if open_ and not webbrowser.open(address_for_once):
            print("no browser was found: open that address in one", file=sys.stderr)

    serve(named, port=port, ready=ready)
    return ServedResult(served[-1] if served else None)

"""Serve the page on this machine's own address, until a signal ends it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import uvicorn

from facepipe.errors import UsageError
from facepipe.ui.access import LOOPBACK, Keys
from facepipe.ui.app import Server
from facepipe.ui.jobs import open_queue
from facepipe.ui.library import Library
from facepipe.ui.pictures import Pictures
from facepipe.ui.uploads import MOST_BYTES, Uploads

#: Connections at once, seconds that an idle one is kept, bytes of a message on a websocket.
_CONNECTIONS, _KEEP_SECONDS, _MESSAGE_BYTES = 64, 30, 2**12


def serve(
    named: Path,
    *,
    port: int = 0,
    ready: Callable[[str, str], None],
    most_upload: int = MOST_BYTES,
) -> None:
    """Serve the page for a video or a folder; `ready` is called with its address.

    Its second argument is one that can be opened once, for a browser that is started with it.
    `port` 0: one that is free. Ends with what a signal raises; then jobs that are at work are ended
    so that they go on the next time. Errors: UsageError for a port that is not to be had,
    InputError for a folder that is not there, OutputError where another server works in it.
    """
    library = Library(named)
    with ExitStack() as stack:
        listening = stack.enter_context(_listening(port))
        queue = stack.enter_context(open_queue(library))
        pictures = Pictures()
        stack.callback(pictures.close)
        keys = Keys(listening.getsockname()[1])
        uploads = Uploads(library, most_upload)
        app = Server(library, queue, pictures, keys, uploads).app()
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            ws="websockets-sansio",
            ws_max_size=_MESSAGE_BYTES,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_KEEP_SECONDS,
            timeout_graceful_shutdown=2,
        )
        server = _Server(config, ready=lambda: ready(keys.address, keys.address_for_once()))
        server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """Calls `ready` once it answers."""

    def __init__(self, config: uvicorn.Config, *, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets=sockets)
        self._ready()


def _listening(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # where it would let others take the port as well
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise UsageError(f"--port {port}: cannot be had ({error})") from error
    return listening

"""The connection of this process to a Ray cluster, and a watch on the cluster's head."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray._private import auto_init_hook, ray_constants
from ray._private import utils as ray_utils
from ray._private import worker as ray_worker
from ray.exceptions import AuthenticationError, RayError

from facepipe.errors import UsageError
from facepipe.workers.resources import LONGEST_SOCKET_FOLDER

#: Seconds in which the cluster's port must accept a connection.
_CONNECT_SECONDS = 10.0
#: Seconds between two looks at the head; without an answer for a third of what Ray itself waits
#: before it ends this process, the head counts as gone.
_WATCH_SECONDS = 2.0
_HEAD_VARIABLE, _HEAD_SECONDS = "RAY_gcs_rpc_server_reconnect_timeout_s", 60.0
#: The namespace of what facepipe names in a cluster.
_NAMESPACE = "facepipe"
#: The variable of a cluster's token, and the tokens of clusters that were started here.
_TOKEN_VARIABLE = "RAY_AUTH_TOKEN"
_made_token: list[str] = []

log = logging.getLogger(__name__)


def connect(address: str, workers: int | None, runtime_env: dict[str, Any] | None = None) -> None:
    """Connect this process to a cluster; `local` starts one here. In the main thread.

    Raises UsageError where none answers or this process may not.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
    logging.getLogger("ray").setLevel(logging.ERROR)
    # A thread that is late would otherwise connect anew, or start a cluster.
    auto_init_hook.enable_auto_connect = False
    options: dict[str, Any] = {
        "logging_level": logging.ERROR,
        "log_to_driver": False,
        "namespace": _NAMESPACE,
    }
    if runtime_env:
        options["runtime_env"] = runtime_env
    if address.startswith("ray://"):
        raise UsageError(
            f"--ray {address}: Ray Client holds no workers of facepipe; run this command on a "
            "machine of the cluster with --ray auto, as `ray job submit` does, or give HOST:6379"
        )
    if address == "local":
        options |= {"num_cpus": workers, "include_dashboard": False}
        options |= {"_temp_dir": folder} if (folder := _short_folder()) else {}
    try:
        if address not in ("auto", "local"):
            _check_port(address)  # Ray itself would wait for minutes
        with _own_signals(), _own_token(address):
            ray.init(address, **options)
        # What raylets say, with their last lines, belongs into their logs and not on the terminal.
        ray_worker.print_to_stdstream = _log_of_raylets
    except AuthenticationError as error:
        raise UsageError(
            f"--ray {address}: this cluster wants a token ({_first_line(error)}); set "
            "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
        ) from error
    except (ConnectionError, ValueError, RuntimeError, OSError, RayError) as error:
        raise UsageError(
            f"--ray {address}: no cluster answers there ({_first_line(error)}); allowed are local, "
            "auto on a machine of a cluster, or HOST:PORT"
        ) from error


def disconnect() -> None:
    """Leave the cluster; end it if it was started here."""
    with _own_signals():
        ray.shutdown()
    if os.environ.get(_TOKEN_VARIABLE) in _made_token:
        del os.environ[_TOKEN_VARIABLE]
        _forget_token()


def _log_of_raylets(data: dict[str, Any], *_: object, **__: object) -> None:
    """Take what Ray would print: a line of the event log is enough."""
    lines = data.get("lines") or [""]
    log.info("ray: %s", str(lines[0])[:300])


class HeadWatch:
    """Watches the cluster's head from a thread; calls `gone` once, with a sentence, if it is."""

    def __init__(self, gone: Callable[[str], None]) -> None:
        self._address = str(ray.get_runtime_context().gcs_address)
        self._gone = gone
        self._stopped = threading.Event()
        allowed = float(os.environ.get(_HEAD_VARIABLE, _HEAD_SECONDS))
        self._patience = allowed / 3
        threading.Thread(target=self._watch, daemon=True, name="head watch").start()

    def is_there(self) -> bool:
        """Whether the head answers now."""
        with suppress(OSError):
            _check_port(self._address, _WATCH_SECONDS)
            return True
        return False

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._stopped.wait(_WATCH_SECONDS):
            if self.is_there():
                last = time.monotonic()
            if time.monotonic() - last > self._patience:
                self._gone(
                    f"the head of the cluster ({self._address}) has not answered for "
                    f"{self._patience:g} s; what is finished is kept, and the same command goes "
                    "on when there is a head again"
                )
                return


@contextmanager
def _own_signals() -> Iterator[None]:
    """Let Ray not take the signals over that this process answers.

    Ray installs a handler that prints stacks of C++ and aborts, and one that exits with 15.
    """
    ray_constants.RAY_DISABLE_FAILURE_SIGNAL_HANDLER = True  # read when a process joins
    sets, ray_utils.set_sigterm_handler = ray_utils.set_sigterm_handler, lambda _: None
    here = threading.current_thread() is threading.main_thread()
    kinds = (signal.SIGINT, signal.SIGTERM) if here else ()
    before = {kind: signal.getsignal(kind) for kind in kinds}
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = sets
        for kind, handler in before.items():
            if handler is not None:
                signal.signal(kind, handler)


@contextmanager
def _own_token(address: str) -> Iterator[None]:
    """Give a cluster that is started here a token of its own, so that none is left in the home."""
    given = any(os.environ.get(name) for name in (_TOKEN_VARIABLE, "RAY_AUTH_TOKEN_PATH"))
    if address == "local" and not given and os.environ.get("RAY_AUTH_MODE") != "disabled":
        _made_token.append(secrets.token_hex(32))
        os.environ[_TOKEN_VARIABLE] = _made_token[-1]
        _forget_token()
    yield


def _forget_token() -> None:
    """Have Ray look again for a token: it may have found another one, or none, before."""
    with suppress(AttributeError, ImportError):
        from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

        AuthenticationTokenLoader.instance().reset_cache()


def _short_folder() -> str | None:
    """A folder for Ray's sockets where its usual one is too long for them; None: it is not.

    Errors: UsageError where there is no other one.
    """
    usual = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    if len(os.fsencode(os.path.realpath(usual))) <= LONGEST_SOCKET_FOLDER:
        return None
    for other in ("/tmp", "/var/tmp", "/dev/shm"):
        if os.access(other, os.W_OK | os.X_OK):
            return f"{other}/ray"
    raise UsageError(
        f"--ray local: {usual} is too long for Ray, whose sockets' names have at most 107 bytes; "
        f"set RAY_TMPDIR to a folder of {LONGEST_SOCKET_FOLDER} bytes at most"
    )


def _check_port(address: str, seconds: float = _CONNECT_SECONDS) -> None:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=seconds):
        pass


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__

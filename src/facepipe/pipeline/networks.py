"""The networks that a process, or a program's own enhancer, works with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, cast

from facepipe.configs.settings import RestoreSettings
from facepipe.datatypes import Crops, Float32
from facepipe.faces.restoration.parsing import ParsedRestorer
from facepipe.models.detectors import Detector, create_detector
from facepipe.models.face_parser import Parser
from facepipe.models.restorers import Restorer, create_restorer

Network = TypeVar("Network", bound=Callable[..., Any])


class Networks:
    """Networks that load when they are first used, and stay loaded.

    Each runs on `threads` threads. With `shared`, several threads of the program may call them at
    once: they take turns.
    """

    def __init__(self, *, threads: int = 1, shared: bool = False) -> None:
        self._threads = threads
        self._turn = Lock() if shared else None
        self.detector = cache(self._load_detector)
        self.restorer = cache(self._load_restorer)
        self._parser = cache(self._load_parser)

    def parse(self, crops: Crops) -> Float32:
        """The parse of doubtful faces, whatever restores them; the network loads at the first."""
        return self._parser()(crops)

    def _load_detector(self, name: str, pack: Path | None) -> Detector:
        made = create_detector(name, pack=pack, threads=self._threads)  # type: ignore[arg-type]
        return self._by_turns(made)

    def _load_restorer(self, settings: RestoreSettings) -> Restorer:
        made = create_restorer(
            settings.restorer,
            device=settings.device,
            runtime=settings.runtime,
            threads=self._threads,
            mirrored=settings.mirrored,
        )
        restorer = self._by_turns(made)
        if restorer.contract.mask == "parsing":  # its faces come with a parse
            return ParsedRestorer(restorer, self.parse)
        return restorer

    def _load_parser(self) -> Callable[[Crops], Float32]:
        return self._by_turns(Parser(threads=self._threads))

    def _by_turns(self, network: Network) -> Network:
        return network if self._turn is None else cast(Network, _ByTurns(network, self._turn))


class _ByTurns:
    """A network that one thread calls at a time; all else is the network's own."""

    def __init__(self, network: Callable[..., Any], turn: Lock) -> None:
        self._network = network
        self._turn = turn

    def __call__(self, *given: Any, **named: Any) -> Any:
        with self._turn:
            return self._network(*given, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

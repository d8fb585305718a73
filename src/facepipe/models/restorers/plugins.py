"""Restorers of other packages, found by the entry points that they register.

Such a package states in its pyproject.toml

    [project.entry-points."facepipe.restorers"]
    mine = "package.module:MyRestorer"

and `--restorer mine` uses it: a class (or function) with the attribute `contract`, a `Contract`,
that is called with `device` and `threads` and gives a `Network`.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

from facepipe.errors import ModelError
from facepipe.models.contract import Contract
from facepipe.models.registry import PLUGINS
from facepipe.models.restorers.network import Network


class Plugin(Protocol):
    """What an entry point leads to. `files`, where there is one: the weights, for the report."""

    contract: Contract

    def __call__(self, *, device: str, threads: int) -> Network: ...


def plugin_files(name: str) -> tuple[Path, ...]:
    """The module of a plug-in, and the weights that it names. Raises ModelError."""
    point = _point(name)
    spec = find_spec(point.module)
    if spec is None or spec.origin is None:
        raise ModelError(f"restorer {name}: there is no module {point.module}")
    files = getattr(load_plugin(name), "files", ())
    return (Path(spec.origin), *map(Path, files))


def load_plugin(name: str) -> Plugin:
    """Import a plug-in. Raises ModelError where that fails or it has no contract."""
    point = _point(name)
    try:
        plugin = point.load()
    except Exception as error:  # another package's code may raise anything
        raise ModelError(
            f"restorer {name}: {point.value} does not import ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(getattr(plugin, "contract", None), Contract):
        raise ModelError(f"restorer {name}: {point.value} has no `contract` of type Contract")
    return cast(Plugin, plugin)


def start_plugin(name: str, *, device: str, threads: int) -> Network:
    """Make the network of a plug-in. Raises ModelError where that fails."""
    plugin = load_plugin(name)
    try:
        network = plugin(device=device, threads=threads)
    except Exception as error:  # as above
        raise ModelError(
            f"restorer {name}: cannot be started ({type(error).__name__}: {error})"
        ) from error
    if not callable(network) or not isinstance(getattr(network, "description", None), str):
        raise ModelError(f"restorer {name}: its network has no `description` or is not callable")
    return network


def _point(name: str) -> EntryPoint:
    found = list(entry_points(group=PLUGINS, name=name))
    if not found:
        raise ModelError(f"restorer {name}: no installed package registers it any more")
    if len({point.value for point in found}) > 1:
        values = " and ".join(sorted({point.value for point in found}))
        raise ModelError(f"restorer {name}: two packages register this name ({values})")
    return found[0]

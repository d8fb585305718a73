"""The command `models`: the networks that facepipe knows."""

from __future__ import annotations

import typer

from facepipe.cli.commands import Command, Group
from facepipe.cli.results import ModelsResult, NetworkEntry, WeightsFile

models_app = typer.Typer(
    cls=Group,
    help="The networks that facepipe knows.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
)


@models_app.callback()
def models(ctx: typer.Context) -> ModelsResult | None:
    """The networks that facepipe knows."""
    return list_models() if ctx.invoked_subcommand is None else None


@models_app.command("list", cls=Command)
def list_models() -> ModelsResult:
    """List the networks that ship and those of the comparison: size, cost, source and licence."""
    from facepipe.models.registry import PARSER, RESTORERS, SYSTEMS

    for spec in (*RESTORERS, PARSER):
        names = ", also ".join((spec.name, *spec.aliases))
        print(f"{names}: {spec.summary}")
        print(f"  {spec.parameters / 1e6:.2f} M parameters, {spec.gmacs:.2f} GMACs a face")
        print(f"  licence: {spec.licence}")
        for file, digest in spec.files:
            print(f"  {file} sha256 {digest}")
    print("\nNetworks of the comparison: `facepipe train` makes their weights, none ship.")
    for system in SYSTEMS:
        print(f"{system.name}: {system.source}")
        print(f"  {system.parameters / 1e6:.2f} M parameters, {system.gmacs:.2f} GMACs a face")
    print("[26] of the paper's slides: not available; the slides do not say what it is")
    shipped = [
        NetworkEntry(
            name=spec.name,
            aliases=spec.aliases,
            summary=spec.summary,
            parameters=spec.parameters,
            gmacs=spec.gmacs,
            shipped=True,
            licence=spec.licence,
            files=tuple(WeightsFile(file, digest) for file, digest in spec.files),
        )
        for spec in (*RESTORERS, PARSER)
    ]
    compared = [
        NetworkEntry(one.name, (), one.source, one.parameters, one.gmacs, False, None, ())
        for one in SYSTEMS
    ]
    return ModelsResult((*shipped, *compared))

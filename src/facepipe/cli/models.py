"""The command `models`: the networks that facepipe knows."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from facepipe.cli.commands import Command, Group
from facepipe.cli.results import ContractResult, ModelsResult, NetworkEntry, WeightsFile

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


@models_app.command("show", cls=Command)
def show_model(
    name: Annotated[str, typer.Argument(metavar="RESTORER", help="a name or a file of weights")],
) -> ContractResult:
    """Show a restorer's contract: what it takes, what it gives, and its licence."""
    from facepipe.models.registry import find_model
    from facepipe.models.restorers import describe

    files = find_model(name)
    kind, contract = describe(files)
    print(f"{files.spec.name}: {kind}")
    for path, digest in zip(files.paths, files.sha256, strict=True):
        print(f"  {path} sha256 {digest}")
    for field in dataclasses.fields(contract):
        value = getattr(contract, field.name)
        print(f"  {field.name}: {str(value).lower() if isinstance(value, bool) else value}")
    return ContractResult(
        name=files.spec.name,
        kind=kind,
        files=tuple(
            WeightsFile(str(path), digest)
            for path, digest in zip(files.paths, files.sha256, strict=True)
        ),
        contract=dataclasses.asdict(contract),
    )

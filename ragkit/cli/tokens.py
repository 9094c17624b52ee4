"""``ragkit token``: users of the server and their permissions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import out, print_json
from ragkit.errors import SettingsError

if TYPE_CHECKING:
    from ragkit.serving.database import Database
    from ragkit.serving.people import People, Right

token = typer.Typer(
    help="Manage access tokens for `ragkit serve`, and their permissions on collections.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="Name of the user.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(token, name="token")


def _collections(option: str, what: str) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(option, metavar="COLLECTION", help=f"{what} Can be repeated.")
    return info


Read = Annotated[
    list[str] | None, _collections("--read", "Collection to grant read permission on: ask, and read documents.")
]
Write = Annotated[
    list[str] | None,
    _collections("--write", "Collection to grant write permission on: also add and remove documents and examples."),
]
Admin = Annotated[list[str] | None, _collections("--admin", "Collection to grant all permissions on.")]


@token.command()
def add(
    name: Name,
    read: Read = None,
    write: Write = None,
    admin: Admin = None,
    owner: Annotated[bool, typer.Option("--owner", help="Grant all permissions on all collections.")] = False,
    json: Json = False,
) -> None:
    """Create a token for a user and print it. It can't be shown again. A running server accepts it at once.

    ragkit token add anna --read handbook --write notes
    """
    with _people() as people:
        made = people.add(name, _rights(read, write, admin), owner=owner)
    if json:
        print_json({"name": name, "token": made})
    else:
        out.print(made, markup=False)


@token.command("set")
def set_rights(
    name: Name,
    read: Read = None,
    write: Write = None,
    admin: Admin = None,
    none: Annotated[list[str] | None, _collections("--none", "Collection to remove permissions from.")] = None,
) -> None:
    """Change a user's permissions on the given collections. A running server applies them at once."""
    with _people() as people:
        for collection, right in _rights(read, write, admin).items():
            people.grant(name, collection, right)
        for collection in none or []:
            people.grant(name, collection, None)


@token.command("list")
def list_tokens(json: Json = False) -> None:
    """List users with a token, and their permissions."""
    with _people() as people:
        rows = [{"name": one.name, "owner": one.owner, "rights": people.rights(one)} for one in people.all()]
    if json:
        print_json({"people": rows})
        return
    for row in rows:
        rights = ", ".join(f"{right} {collection}" for collection, right in sorted(dict(row["rights"]).items()))  # type: ignore[call-overload]
        out.print(f"{row['name']}: {'owner' if row['owner'] else rights or 'no permissions'}", markup=False)
    if not rows:
        out.print("There are no tokens: every user of this machine has the owner's permissions; others have no access.")


@token.command()
def remove(
    name: Name,
    give_to: Annotated[
        str | None,
        typer.Option(
            "--give-to",
            metavar="NAME",
            help="User who gets the conversations; by default they are deleted.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Delete a user's token and conversations. A running server rejects it at once, even during an answer.

    The conversations of the server's owner are kept for the next owner.
    """
    from ragkit.serving.conversations import Conversations
    from ragkit.serving.people import OWNER, People

    with _database() as database:
        people, conversations = People(database), Conversations(database)
        heir = None if give_to is None else people.id_of(give_to)
        if give_to == name:
            raise SettingsError(f"{name} can't get their own conversations.", "Specify another user with --give-to.")
        with database.transaction():
            identity = people.remove(name)
            # Conversations without a token, and those with RAGKIT_TOKEN, have the same owner.
            keep = identity == OWNER and heir is None
            count = 0 if keep else conversations.remove_person(identity, heir)
    what = f"{count:,} conversation{'' if count == 1 else 's'}"
    if give_to is None:
        out.print(f"Removed the token of {name} and {what}.", markup=False, highlight=False)
    else:
        out.print(f"Removed the token of {name}; {give_to} has {what} more.", markup=False, highlight=False)


def _rights(read: list[str] | None, write: list[str] | None, admin: list[str] | None) -> dict[str, Right]:
    """Return the permission on each collection.

    Raises:
        SettingsError: if a collection has two permissions.
    """
    rights: dict[str, Right] = {}
    given: tuple[tuple[Right, list[str] | None], ...] = (("read", read), ("write", write), ("admin", admin))
    for right, collections in given:
        for collection in collections or []:
            if collection in rights:
                raise SettingsError(f"{collection} has two permissions.", "Specify one of them; write includes read.")
            rights[collection] = right
    return rights


@contextmanager
def _people() -> Iterator[People]:
    from ragkit.serving.people import People

    with _database() as database:
        yield People(database)


@contextmanager
def _database() -> Iterator[Database]:
    from ragkit.serving import conversations, people
    from ragkit.serving.database import FILE_NAME, STATE, Database
    from ragkit.settings import load_settings

    database = Database(load_settings().indexes / STATE / FILE_NAME, people.SCHEMA + conversations.SCHEMA)
    try:
        yield database
    finally:
        database.close()

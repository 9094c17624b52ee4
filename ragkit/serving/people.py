"""Authorization: people with tokens, and their permissions on collections.

A token is 256 random bits; only its SHA-256 is stored. Permissions are read from the file each time they are checked,
so a permission that this process or another revokes ends at once.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from ragkit.errors import SettingsError
from ragkit.serving.database import Database
from ragkit.serving.names import harmless

Right = Literal["read", "write", "admin"]
RIGHTS: tuple[Right, ...] = get_args(Right)
"""Permissions in ascending order; each includes the previous ones."""
OWNER = "owner"
"""Id of the owner: everyone on this machine as long as no token exists, the person with ``RAGKIT_TOKEN``, and the first
person with an owner's token."""
_LONGEST_NAME = 64
SCHEMA = """
CREATE TABLE IF NOT EXISTS people (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, token BLOB NOT NULL, owner INTEGER NOT NULL, created REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS rights (
    person TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE, collection TEXT NOT NULL, level INTEGER NOT NULL,
    PRIMARY KEY (person, collection)
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the server, or a user's program."""

    id: str
    name: str
    owner: bool
    """Whether the person has all permissions on all collections."""


class People:
    """The people of a server.

    Args:
        database: database of the server.
        token: the owner's token from the environment; it is not stored.
        open_to_all: treat everyone as the owner as long as no token exists; for this machine only.
    """

    def __init__(self, database: Database, token: str | None = None, *, open_to_all: bool = False) -> None:
        self._database = database
        self._owner_token = _digest(token) if token else None
        self._may_be_open = open_to_all and not token and not self._any()

    @property
    def open(self) -> bool:
        """Whether no token is needed. This ends permanently with the first token."""
        if self._may_be_open and self._any():
            self._may_be_open = False
        return self._may_be_open

    def add(self, name: str, rights: Mapping[str, Right] | None = None, *, owner: bool = False) -> str:
        """Create a token and return it; it is shown only once.

        Args:
            name: name of the user.
            rights: permissions by collection name.
            owner: grant all permissions on all collections, and the owner's permissions.

        Raises:
            SettingsError: if the name is taken or empty, or a permission is unknown.
        """
        if not name.strip() or len(name) > _LONGEST_NAME or harmless(name) != name:
            raise SettingsError(f"Invalid name {name!r}.", f"Use 1 to {_LONGEST_NAME} visible characters.")
        wrong = sorted({right for right in (rights or {}).values() if right not in RIGHTS})
        if wrong:
            raise SettingsError(f"Unknown right {wrong[0]!r}.", f"Legal values: {', '.join(RIGHTS)}.")
        if self._database.rows("SELECT 1 FROM people WHERE name = ?", (name,)):
            raise SettingsError(f"{name!r} already has a token.", f"Remove it: ragkit token remove {name}")
        token = f"rk_{secrets.token_urlsafe(32)}"
        identity = secrets.token_urlsafe(12)
        with self._database.transaction() as connection:
            if owner and not connection.execute("SELECT 1 FROM people WHERE id = ?", (OWNER,)).fetchone():
                # Whoever made conversations while no token was needed finds them again.
                identity = OWNER
            connection.execute(
                "INSERT INTO people VALUES (?, ?, ?, ?, ?)", (identity, name, _digest(token), owner, time.time())
            )
            connection.executemany(
                "INSERT INTO rights VALUES (?, ?, ?)",
                [(identity, collection, RIGHTS.index(right)) for collection, right in (rights or {}).items()],
            )
        return token

    def grant(self, name: str, collection: str, right: Right | None) -> None:
        """Set a person's permission on a collection; None removes it.

        Raises:
            SettingsError: if no person has that name.
        """
        identity = self.id_of(name)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM rights WHERE person = ? AND collection = ?", (identity, collection))
            if right is not None:
                connection.execute("INSERT INTO rights VALUES (?, ?, ?)", (identity, collection, RIGHTS.index(right)))

    def remove(self, name: str) -> str:
        """Delete a person's token and permissions, and return their id.

        Raises:
            SettingsError: if no person has that name.
        """
        identity = self.id_of(name)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM people WHERE id = ?", (identity,))
        return identity

    def id_of(self, name: str) -> str:
        """Return the id of a person with a token.

        Raises:
            SettingsError: if no person has that name.
        """
        found = self._database.rows("SELECT id FROM people WHERE name = ?", (name,))
        if not found:
            raise self._unknown(name)
        return str(found[0][0])

    def all(self) -> list[Person]:
        """Return the people with tokens of their own, by name."""
        rows = self._database.rows("SELECT id, name, owner FROM people ORDER BY name")
        return [Person(identity, name, bool(owner)) for identity, name, owner in rows]

    def by_token(self, token: str | None, *, local: bool = True) -> Person | None:
        """Return the person of a token; without a token, the owner if the server is open, else None.

        Args:
            token: token as sent.
            local: whether a program on this machine sent it. A proxy on this machine forwards requests of others.
        """
        if local and self.open:
            return Person(OWNER, "you", True)
        if not token:
            return None
        digest = _digest(token)
        found: Person | None = None
        if self._owner_token is not None and hmac.compare_digest(digest, self._owner_token):
            found = Person(OWNER, "owner", True)
        # All are compared, and in constant time, so that timing reveals nothing.
        for identity, name, owner, kept in self._database.rows("SELECT id, name, owner, token FROM people"):
            if hmac.compare_digest(digest, kept):
                found = Person(identity, name, bool(owner))
        return found

    def right(self, person: Person, collection: str) -> Right | None:
        """Return the right that someone has on a collection at this moment."""
        if person.id == OWNER and (self._owner_token is not None or self.open):
            return "admin"
        found = self._database.rows("SELECT owner FROM people WHERE id = ?", (person.id,))
        if not found:
            return None
        if found[0][0]:
            return "admin"
        given = self._database.rows(
            "SELECT level FROM rights WHERE person = ? AND collection = ?", (person.id, collection)
        )
        return RIGHTS[given[0][0]] if given else None

    def rights(self, person: Person) -> dict[str, Right]:
        """Return the rights that were given to someone by collection; an owner has all, and none is listed."""
        rows = self._database.rows("SELECT collection, level FROM rights WHERE person = ?", (person.id,))
        return {collection: RIGHTS[level] for collection, level in rows}

    def _any(self) -> bool:
        return bool(self._database.rows("SELECT 1 FROM people LIMIT 1"))

    def _unknown(self, name: str) -> SettingsError:
        names = ", ".join(person.name for person in self.all()) or "none"
        return SettingsError(f"No token for {name!r}; existing: {names}.", "See: ragkit token list")


def allows(has: Right | None, needed: Right) -> bool:
    """Return whether a right includes the one that is needed."""
    return has is not None and RIGHTS.index(has) >= RIGHTS.index(needed)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

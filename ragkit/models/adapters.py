"""Adapters that were tuned: in versions, one of which is in use, each with a card that says what it is.

adapters/NAME/1/card.json    what it was made of and how it measures
adapters/NAME/1/lora.gguf    for llama.cpp
adapters/NAME/promoted.json  which version is in use
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit._hub import is_hub_name
from ragkit.errors import ModelFileError, ModelNotFoundError, SettingsError

if TYPE_CHECKING:
    from ragkit.models.llama_cpp import LlamaCppModel

CARD = "card.json"
LORA = "lora.gguf"
PROMOTED = "promoted.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class AdapterVersion:
    """One version of an adapter."""

    name: str
    version: int
    folder: Path
    card: Mapping[str, Any]
    promoted: bool
    """Whether it is the one in use."""

    @property
    def lora(self) -> Path | None:
        """The adapter for llama.cpp; None for a model that llama.cpp does not run."""
        file = self.folder / LORA
        return file if file.is_file() else None


class AdapterStore:
    """A folder of adapters.

    Args:
        folder: need not be there yet.
    """

    def __init__(self, folder: str | Path = "adapters") -> None:
        self.folder = Path(folder).expanduser()

    def versions(self, name: str | None = None) -> list[AdapterVersion]:
        """Return all versions, or those of one adapter, by name and age, the oldest first.

        Raises:
            ModelNotFoundError: if there is no adapter of that name.
            ModelFileError: if a card is damaged.
        """
        if name is None:
            places = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
            named = [place.name for place in places if _NAME.fullmatch(place.name)]
            return [version for one in named for version in self._of(one)]
        found = self._of(self.checked(name))
        if not found:
            names = sorted({version.name for version in self.versions()})
            known = f"there are: {', '.join(names)}" if names else "there is none"
            raise ModelNotFoundError(
                f"There is no adapter {name!r} in {self.folder}; {known}.", "Make one: ragkit tune sft"
            )
        return found

    def find(self, name: str) -> AdapterVersion:
        """Return a version: ``NAME`` for the one in use, ``NAME@2`` for the second.

        Raises:
            ModelNotFoundError: if there is no such adapter or version, or none of its versions is in use.
        """
        own, _, number = name.partition("@")
        versions = self.versions(own)
        fitting = [one for one in versions if (str(one.version) == number if number else one.promoted)]
        if fitting:
            return fitting[0]
        numbers = ", ".join(str(one.version) for one in versions)
        if number:
            raise ModelNotFoundError(f"{own} has no version {number}; it has {numbers}.", "Name one of these.")
        raise ModelNotFoundError(
            f"No version of {own} is in use: none measured better than the model without it; it has {numbers}.",
            f"Name one, as in {own}@{versions[-1].version}, or use it all the same: ragkit tune promote "
            f"{own}@{versions[-1].version}",
        )

    def promote(self, name: str) -> AdapterVersion:
        """Take a version (``NAME@2``) into use.

        Raises:
            ModelNotFoundError: if it is not there.
            SettingsError: if no version is named.
        """
        from ragkit._files import write_atomically

        if "@" not in name:
            raise SettingsError(f"{name!r} names no version.", f"Name one: {name}@1")
        found = self.find(name)
        write_atomically(self.folder / found.name / PROMOTED, json.dumps({"version": found.version}).encode())
        return self.find(name)

    def delete(self, name: str) -> list[AdapterVersion]:
        """Delete an adapter with all its versions, or one version (``NAME@2``), and return what was deleted.

        An adapter whose version in use is deleted has none in use.

        Raises:
            ModelNotFoundError: if it is not there.
        """
        if "@" not in name:
            found = self.versions(name)
            shutil.rmtree(self.folder / found[0].name)
            return found
        one = self.find(name)
        if one.promoted:
            (self.folder / one.name / PROMOTED).unlink(missing_ok=True)
        shutil.rmtree(one.folder)
        return [one]

    def checked(self, name: str) -> str:
        """Return a name that can be a folder's.

        Raises:
            SettingsError: if it can't.
        """
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"{name!r} can't be an adapter's name.", "Use up to 64 letters, digits, dots, hyphens and underscores."
            )
        return name

    def _of(self, name: str) -> list[AdapterVersion]:
        place = self.folder / name
        used = _read(place / PROMOTED).get("version") if (place / PROMOTED).is_file() else None
        numbers = sorted(int(card.parent.name) for card in place.glob(f"*/{CARD}") if card.parent.name.isdecimal())
        return [
            AdapterVersion(name, number, place / str(number), _read(place / str(number) / CARD), number == used)
            for number in numbers
        ]


def tuned_model(name: str, folder: str | Path = "adapters", **options: Any) -> LlamaCppModel:
    """Open a model with an adapter that was tuned for it.

    Args:
        name: of the adapter, ``NAME`` for the version in use or ``NAME@2``; or the folder of a version.
        folder: of the adapters.
        **options: of ``LlamaCppModel``.

    Raises:
        ModelNotFoundError: if there is no such adapter, or the model it was made for is gone.
        ModelFileError: if that model's file is another one now, or llama.cpp does not run it.
    """
    from ragkit.models.llama_cpp import LlamaCppModel

    place = Path(name).expanduser()
    if (place / CARD).is_file():
        version = AdapterVersion(place.resolve().parent.name, 0, place, _read(place / CARD), False)
    else:
        version = AdapterStore(folder).find(name)
    if version.lora is None:
        raise ModelFileError(
            f"{name} was tuned for {version.card['base']['name']}, which llama.cpp does not run.",
            "Tune the GGUF form of the model.",
        )
    label = f"{version.name}@{version.version}" if version.version else version.name
    return LlamaCppModel(_base(version.card), name=label, lora=version.lora, **options)


def _base(card: Mapping[str, Any]) -> Path:
    """Return the file that an adapter was made for, which has to be what it was."""
    import hashlib

    from ragkit.models.files import known_models, model_path

    base = card["base"]
    if base["name"].lower().endswith(".gguf") and not is_hub_name(base["name"]):
        path = Path(base["name"])
        if not path.is_file():
            raise ModelNotFoundError(f"The model {path} that this adapter was made for is gone.", "Put it back.")
    else:
        path = model_path(base["name"])  # which checks those that ragkit knows
        if base["sha256"] in {info.sha256 for info in known_models() if info.name == base["name"]}:
            return path
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != base["sha256"]:
        raise ModelFileError(
            f"{path} has sha256 {found}, and the adapter was made for {base['sha256']}.", "Put the old file back."
        )
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path} can't be read: {error}.", "Delete this version, and tune again.") from error
    if not isinstance(found, dict):
        raise ModelFileError(f"{path} is no object.", "Delete this version, and tune again.")
    return found

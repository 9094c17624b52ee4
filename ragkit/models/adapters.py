"""Versions of fine-tuned adapters, each with a card; at most one version is in use.

adapters/NAME/1/card.json    data, options and scores
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
    """Whether the adapter is in use."""

    @property
    def lora(self) -> Path | None:
        """Path of the adapter for llama.cpp; None if llama.cpp does not support the model."""
        file = self.folder / LORA
        return file if file.is_file() else None


class AdapterStore:
    """A folder of adapters.

    Args:
        folder: folder of the adapters; it does not have to exist.
    """

    def __init__(self, folder: str | Path = "adapters") -> None:
        self.folder = Path(folder).expanduser()

    def versions(self, name: str | None = None) -> list[AdapterVersion]:
        """Return all versions, or those of one adapter, sorted by name and version.

        Raises:
            ModelNotFoundError: if there is no adapter with that name.
            ModelFileError: if a card is damaged.
        """
        if name is None:
            places = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
            named = [place.name for place in places if _NAME.fullmatch(place.name)]
            return [version for one in named for version in self._of(one)]
        found = self._of(self.checked(name))
        if not found:
            names = sorted({version.name for version in self.versions()})
            known = f"Available adapters: {', '.join(names)}." if names else "The folder has no adapters."
            raise ModelNotFoundError(
                f"There is no adapter {name!r} in {self.folder}. {known}", "Create one: ragkit tune sft"
            )
        return found

    def find(self, name: str) -> AdapterVersion:
        """Return a version: ``NAME`` for the one in use, ``NAME@2`` for version 2.

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
            raise ModelNotFoundError(f"{own} has no version {number}; it has {numbers}.", "Specify one of these.")
        raise ModelNotFoundError(
            f"No version of {own} is in use, because none was better than the base model. Versions: {numbers}.",
            f"Specify one, such as {own}@{versions[-1].version}, or promote it: ragkit tune promote "
            f"{own}@{versions[-1].version}",
        )

    def promote(self, name: str) -> AdapterVersion:
        """Promote a version (``NAME@2``), so that it is in use.

        Raises:
            ModelNotFoundError: if it does not exist.
            SettingsError: if the name has no version.
        """
        from ragkit._files import write_atomically

        if "@" not in name:
            raise SettingsError(f"{name!r} has no version number.", f"Specify one: {name}@1")
        found = self.find(name)
        write_atomically(self.folder / found.name / PROMOTED, json.dumps({"version": found.version}).encode())
        return self.find(name)

    def demote(self, name: str) -> None:
        """Use no version of an adapter; all versions are kept.

        Raises:
            ModelNotFoundError: if there is no adapter with that name.
        """
        found = self.versions(name)
        (self.folder / found[0].name / PROMOTED).unlink(missing_ok=True)

    def delete(self, name: str) -> list[AdapterVersion]:
        """Delete an adapter with all its versions, or one version (``NAME@2``), and return what was deleted.

        If the version in use is deleted, the adapter has none in use.

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
        """Check the name of an adapter, and return it.

        Raises:
            SettingsError: if the name is invalid.
        """
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"Invalid adapter name {name!r}.", "Use up to 64 letters, digits, dots, hyphens and underscores."
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
    """Open a model with an adapter.

    Args:
        name: name of the adapter, ``NAME`` for the version in use or ``NAME@2``; or the folder of a version.
        folder: folder of the adapters.
        **options: options of ``LlamaCppModel``.

    Raises:
        ModelNotFoundError: if there is no such adapter, or its base model is missing.
        ModelFileError: if the file of the base model has changed, or llama.cpp does not support it.
    """
    from ragkit.models.llama_cpp import LlamaCppModel

    place = Path(name).expanduser()
    if (place / CARD).is_file():
        version = AdapterVersion(place.resolve().parent.name, 0, place, _read(place / CARD), False)
    else:
        version = AdapterStore(folder).find(name)
    if version.lora is None:
        raise ModelFileError(
            f"{name} was trained on {version.card['base']['name']}, which llama.cpp does not support.",
            "Fine-tune a GGUF file of the model.",
        )
    label = f"{version.name}@{version.version}" if version.version else version.name
    return LlamaCppModel(_base(version.card), name=label, lora=version.lora, **options)


def _base(card: Mapping[str, Any]) -> Path:
    """Return the file of an adapter's base model, and check that it is unchanged."""
    import hashlib

    from ragkit.models.files import known_models, model_path

    base = card["base"]
    if base["name"].lower().endswith(".gguf") and not is_hub_name(base["name"]):
        path = Path(base["name"])
        if not path.is_file():
            raise ModelNotFoundError(f"The base model of this adapter is missing: {path}.", "Restore the file.")
    else:
        path = model_path(base["name"])  # verifies the checksum of known models
        if base["sha256"] in {info.sha256 for info in known_models() if info.name == base["name"]}:
            return path
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != base["sha256"]:
        raise ModelFileError(
            f"{path} has sha256 {found}, but the adapter was trained on {base['sha256']}.",
            "Restore the original file.",
        )
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path} can't be read: {error}.", "Delete this version, and train it again.") from error
    if not isinstance(found, dict):
        raise ModelFileError(f"{path} is not a JSON object.", "Delete this version, and train it again.")
    return found

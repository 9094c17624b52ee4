"""Prompt templates: plain text files that a user can replace, one by one.

A field is written in braces, ``{question}``; ``{{`` and ``}}`` are braces. Field values are never read as templates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ragkit.errors import TemplateError

FIELDS: dict[str, tuple[str, ...]] = {
    "chat_system": ("abstention",),
    "chat_instructions": ("instructions",),
    "chat_json": ("schema",),
    "chat_user": ("sources", "question"),
    "source": ("number", "title", "place", "text"),
    "extract_system": (),
    "extract_user": ("passage", "question"),
    "rewrite_system": ("language",),
    "rewrite_user": ("conversation", "question"),
    "translate_system": ("language",),
    "abstention": (),
}
"""Templates with their legal fields."""

_FIELD = re.compile(r"\{\{|\}\}|\{(\w*)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates of one set, by name."""

    texts: dict[str, str]

    @classmethod
    def load(cls, folder: Path | None = None) -> Templates:
        """Read the bundled templates; files in ``folder`` replace them.

        Args:
            folder: folder with files such as ``chat_system.txt``; ragkit's own replaces a missing one.

        Raises:
            TemplateError: if the folder is missing, or a template names an unknown field.
        """
        if folder is not None and not folder.is_dir():
            raise TemplateError(f"There is no folder of templates {folder}.", "Make it, or leave the setting out.")
        texts: dict[str, str] = {}
        for name, fields in FIELDS.items():
            own = folder / f"{name}.txt" if folder is not None else None
            if own is not None and own.is_file():
                text = own.read_text(encoding="utf-8")
            else:
                text = (files("ragkit.prompting") / "templates" / f"{name}.txt").read_text(encoding="utf-8")
            _check(name, text, fields, own)
            texts[name] = text.rstrip("\n")
        return cls(texts)

    def fill(self, name: str, **values: object) -> str:
        """Return a template with its fields filled in."""

        def put(match: re.Match[str]) -> str:
            if match.group(0) in ("{{", "}}"):
                return match.group(0)[0]
            return str(values[match.group(1)])

        return _FIELD.sub(put, self.texts[name])


def _check(name: str, text: str, fields: tuple[str, ...], file: Path | None) -> None:
    where = file or f"{name}.txt"
    for match in _FIELD.finditer(text):
        if match.group(0) in ("{{", "}}"):
            continue
        if match.group(1) not in fields:
            legal = ", ".join(f"{{{field}}}" for field in fields) or "none"
            raise TemplateError(
                f"{where} has {match.group(0)!r} at character {match.start() + 1}.",
                f"Its fields are: {legal}. Write a brace itself as {{{{ or }}}}.",
            )

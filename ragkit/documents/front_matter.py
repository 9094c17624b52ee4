"""The front matter of a text: YAML between ``---`` or TOML between ``+++`` that parses as a mapping."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from ragkit.documents.base import plain_metadata

_YAML = re.compile(r"\ufeff?---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TOML = re.compile(r"\ufeff?\+\+\+[ \t]*\n(.*?)\n\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL)
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)\.\d+")
_FIRST_KEY = re.compile(r"[\"']?([\w .-]{1,100}?)[\"']?[ \t]*[:=]")
_MAX_CHARACTERS = 64_000
_ALIAS = re.compile(r"(?:^|[\s\[{,:-])[&*]\w", re.MULTILINE)


def split_front_matter(text: str) -> tuple[str, dict[str, str | int | float | bool], str]:
    """Return the front matter without its fences, its values, and the text after it.

    Lists become ``a, b`` and nested mappings names such as ``map.key``. A text that begins with a rule, and not with a
    mapping, has no front matter: all of it is returned as the text.
    """
    for pattern, read in ((_YAML, _yaml), (_TOML, _toml)):
        match = pattern.match(text)
        if match and len(match.group(1)) <= _MAX_CHARACTERS:
            values = read(match.group(1))
            if values is not None:
                return match.group(1).strip("\n"), plain_metadata(dict(_flat(values))), text[match.end() :]
    return "", {}, text


def front_matter_end(text: str, metadata: Mapping[str, object]) -> int:
    """Return where the front matter at the beginning of a document's text ends; 0 if there is none.

    Args:
        text: text of a document, as its loader returns it.
        metadata: metadata of the document, which contains the values of its front matter.
    """
    first = _FIRST_KEY.match(text)
    if first is None or not any(key == first[1] or key.startswith(f"{first[1]}.") for key in metadata):
        return 0
    end = text.find("\n\n")
    return len(text) if end < 0 else end


def _yaml(text: str) -> Mapping[str, Any] | None:
    import yaml

    # Aliases can make a few lines unfold to gigabytes.
    if _ALIAS.search(text):
        return None
    try:
        # All scalars are strings here: YAML itself would read 01234 as 668 and "no" as false.
        value = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  it builds strings, lists and mappings alone
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return value if isinstance(value, dict) and all(isinstance(name, str) for name in value) else None


def _toml(text: str) -> Mapping[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _scalar(value)


def _scalar(value: object) -> str | int | float | bool:
    if isinstance(value, list):
        return ", ".join(str(_scalar(item)) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_scalar(item)}" for name, item in value.items())
    if isinstance(value, (bool, int, float)):
        return value
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text

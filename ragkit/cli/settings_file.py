"""Changes single settings in ``ragkit.toml`` without changing the rest of the file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from ragkit._files import write_atomically
from ragkit.errors import SettingsError
from ragkit.indexing.database import write_errors
from ragkit.settings import FILE_NAME, find_file


def settings_lines(values: Mapping[str, float]) -> str:
    """Return numbers as lines of ``ragkit.toml``."""
    return "".join(f"{name} = {value}\n" for name, value in values.items())


def write_settings(values: Mapping[str, float]) -> Path:
    """Write numbers to the nearest ``ragkit.toml``, or to a new one in the working folder, and return its path.

    Raises:
        SettingsError: if the file is not valid TOML, or its lines can't be changed without changing other settings.
        IndexWriteError: if the file can't be written.
    """
    file = find_file(Path.cwd().resolve()) or Path.cwd() / FILE_NAME
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    hint = f"Edit the file yourself; the lines are: {settings_lines(values).replace(chr(10), '; ')}"
    try:
        before = tomllib.loads(text)
        new = text
        for name, value in values.items():
            line = f"{name} = {value}"
            pattern = re.compile(rf"^[ \t]*{name}[ \t]*=[^\n#]*?(?=[ \t]*(?:#[^\n]*)?$)", re.MULTILINE)
            new, count = pattern.subn(line, new, count=1)
            if not count:
                new += ("" if not new or new.endswith("\n") else "\n") + line + "\n"
        changed = tomllib.loads(new)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not valid TOML: {error}.", hint) from error
    if changed != before | dict(values):
        raise SettingsError(f"{file} can't be changed without changing other settings.", hint)
    with write_errors(file.parent):
        write_atomically(file, new.encode())
    return file

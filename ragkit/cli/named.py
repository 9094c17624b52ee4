"""Python objects that are named on the command line, as ``module:name``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from ragkit.errors import SettingsError


def named_object(name: str, wanted: str) -> Any:
    """Return what ``module:name`` means; as with ``python -m``, modules of the working folder are found.

    Args:
        name: of the object.
        wanted: what it is to be, in words, for the error.

    Raises:
        SettingsError: if there is none.
    """
    module, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"There is no {name}: {error}.", f"Name {wanted}.") from error
    finally:
        sys.path.remove(str(Path.cwd()))

"""Python objects specified on the command line as ``module:name``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from ragkit.errors import SettingsError


def named_object(name: str, wanted: str) -> Any:
    """Import ``module:name``; the module may be in the working folder.

    Args:
        name: the object, as ``module:name``.
        wanted: description of the expected object, for the error.

    Raises:
        SettingsError: if it can't be imported.
    """
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    # Only the named module takes precedence over installed ones: other imports must not find a ``json.py`` there.
    sys.path.append(here)
    try:
        _import_from(here, module.partition(".")[0])
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"{name} can't be imported: {error}.", f"Specify {wanted}.") from error
    finally:
        sys.path.reverse()
        sys.path.remove(here)
        sys.path.reverse()


def _import_from(folder: str, name: str) -> None:
    """Import a module or package from a folder under its name, if it exists and is not imported yet."""
    spec = PathFinder.find_spec(name, [folder])
    if name in sys.modules or spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise

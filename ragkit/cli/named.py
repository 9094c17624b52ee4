"""Python objects that are named on the command line, as ``module:name``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from ragkit.errors import SettingsError


def named_object(name: str, wanted: str) -> Any:
    """Return what ``module:name`` means; the module may lie in the working folder.

    Args:
        name: of the object.
        wanted: what it is to be, in words, for the error.

    Raises:
        SettingsError: if there is none.
    """
    module, _, attribute = name.partition(":")
    here = str(Path.cwd())
    # Only the module that was named comes before what is installed: a ``json.py`` in the folder is not for others.
    sys.path.append(here)
    try:
        _import_from(here, module.partition(".")[0])
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"There is no {name}: {error}.", f"Name {wanted}.") from error
    finally:
        sys.path.reverse()
        sys.path.remove(here)
        sys.path.reverse()


def _import_from(folder: str, name: str) -> None:
    """Import a module or package of a folder under its name, if there is one and the name is not imported yet."""
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

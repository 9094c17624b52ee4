"""What the figures of a benchmark depend on: the CPU and its instructions, and the versions of packages."""

from __future__ import annotations

import platform
from importlib.metadata import version

from ragkit._machine import cores, instruction_set


def versions(*packages: str) -> str:
    """Return one line: the cores, the CPU's vector instructions, and the versions of Python and of packages."""
    named = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]
    return f"{cores()} cores ({instruction_set()}), {', '.join(named)}"

"""The machine that this process runs on: its cores, its CPU, its memory, and the folder of caches."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_SETS = (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("avx", "AVX"), ("sse4_2", "SSE4.2"), ("sve", "SVE"))
"""The widest vector instructions come first, by the flags of ``/proc/cpuinfo``."""


def cores() -> int:
    """Return the number of cores that this process may use, at least 1."""
    # Only Linux can limit a process to some of the cores; macOS has no such function.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_of_cores(number: int, count: int) -> list[int]:
    """Return the cores for one of ``count`` processes, numbered from 0; empty if they can't be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    usable = sorted(os.sched_getaffinity(0))
    return usable[number::count] or [usable[number % len(usable)]]


def run_on(chosen: Sequence[int]) -> None:
    """Run this process on cores from ``share_of_cores`` only; none leaves it on all."""
    if chosen:
        os.sched_setaffinity(0, chosen)


def memory() -> int | None:
    """Return the machine's memory in bytes, or None if the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def instruction_set() -> str:
    """Return the widest vector instructions of the CPU, such as ``AVX2`` or ``AVX-512``.

    Quantised models round differently with different instructions, so the same model can prefer another token where
    two are nearly equal.
    """
    found = next((name for flag, name in _SETS if flag in cpu_flags()), None)
    if found is not None:
        return found
    return "NEON" if platform.machine().lower() in ("arm64", "aarch64") else platform.machine() or "unknown"


@cache
def cpu_flags() -> frozenset[str]:
    """Return the features of the CPU as Linux names them; none on other systems."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    lines = (line.partition(":") for line in text.splitlines())
    return frozenset(
        flag for name, _, flags in lines if name.strip().lower() in ("flags", "features") for flag in flags.split()
    )


def cpu_ticks(pid: int) -> int | None:
    """Return the clock ticks of processor time that a process has used; None if the system does not report them."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The program's name, in parentheses, may itself hold any character.
    user, system = stat.rpartition(")")[2].split()[11:13]
    return int(user) + int(system)


def cache_folder() -> Path:
    """Return the folder for what ragkit makes once and keeps: ``RAGKIT_CACHE``, else ``~/.cache/ragkit``."""
    named = os.environ.get("RAGKIT_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(named) if named else (Path(base) if base else Path.home() / ".cache") / "ragkit"

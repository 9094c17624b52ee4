"""What ragkit knows of the machine, and that it runs where a system lacks what Linux has."""

import re
from pathlib import Path

import pytest

from benchmarks.machine import versions
from ragkit import _machine

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("fpu sse4_2 avx avx2 avx512f avx512bw", "AVX-512"),
        ("fpu sse4_2 avx avx2", "AVX2"),
        ("fpu sse4_2", "SSE4.2"),
    ],
)
def test_instruction_set_is_the_widest_of_the_cpu(monkeypatch, flags, name):
    monkeypatch.setattr(_machine, "cpu_flags", lambda: frozenset(flags.split()))
    assert _machine.instruction_set() == name


def test_instruction_set_without_flags_is_by_the_architecture(monkeypatch):
    monkeypatch.setattr(_machine, "cpu_flags", lambda: frozenset())
    monkeypatch.setattr(_machine.platform, "machine", lambda: "arm64")
    assert _machine.instruction_set() == "NEON"


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(BENCHMARKS.glob("*.py")) if "def main(" in path.read_text()],
    ids=lambda path: path.name,
)
def test_benchmark_prints_the_instruction_set(path):
    assert f"({_machine.instruction_set()})" in versions()
    assert re.search(r"print\([^#]*?\bversions\(", path.read_text(), re.DOTALL)

"""What ragkit knows of the machine, and that it runs where a system lacks what Linux has."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.machine import versions
from ragkit import _machine

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PACKAGE = Path(_machine.__file__).parent


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


ELSEWHERE = """
import os, resource
del os.sched_getaffinity
for name in ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_NPROC"):
    if hasattr(resource, name):
        delattr(resource, name)
from pathlib import Path
Path.read_text_of_linux, Path.exists_on_linux = Path.read_text, Path.exists

def absent(path):
    return str(path).startswith("/proc/")

def read_text(self, *args, **more):
    if absent(self):
        raise FileNotFoundError(2, "No such file or directory", str(self))
    return self.read_text_of_linux(*args, **more)

Path.read_text = read_text
Path.exists = lambda self, **more: not absent(self) and self.exists_on_linux(**more)
"""
WORK = """
import sys
from ragkit import Assistant, Document, Index, Message
from ragkit._machine import cores, instruction_set
from ragkit.cli.main import app
from ragkit.models import GenerationOptions, complete, open_model
from ragkit.records import document_id

assert cores() >= 1 and instruction_set()
text = "The gate code is 9152."
with Index.open(sys.argv[1], create=True) as index:
    index.add(Document(document_id("m"), "m", "m", text, "Memo", "0", "text/plain"))
    assert "9152" in Assistant(index, model=None).ask("What is the gate code?").text
assert complete(open_model("smollm2", window=128, threads=1), [Message("user", "Hi")], GenerationOptions(2)).text
import ragkit.tuning.embedders.training as training
assert training._half_is_fast() is False
app(["doctor", "--json"])
"""


def test_package_runs_without_what_only_linux_has(tmp_path):
    code = ELSEWHERE + WORK
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "index")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"cores"' in done.stdout


def test_functions_that_only_linux_has_are_used_in_one_module():
    """A use elsewhere fails on macOS; child processes limit their memory where the system can."""
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"sched_getaffinity|/proc/(?!driver)", path.read_text(encoding="utf-8"))
    }
    assert found == {"_machine.py"}

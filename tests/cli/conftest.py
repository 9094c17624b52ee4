"""The command line within the test's own process, for the many cases that need no process of their own."""

import sys
from types import SimpleNamespace

import pytest

from ragkit.cli.main import main


@pytest.fixture
def here(monkeypatch, capsys):
    """Run ``main`` in a folder and return what it printed; its exit code must be ``check``."""

    def run(*words, cwd, check=0):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["ragkit", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        # A key of whoever runs the tests is none of theirs.
        monkeypatch.setenv("OPENAI_API_KEY", "")
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        printed = capsys.readouterr()
        assert code == check, f"exit {code}\n{printed.out}\n{printed.err}"
        return SimpleNamespace(stdout=printed.out, stderr=printed.err)

    return run

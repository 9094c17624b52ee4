"""What ``--help`` shows of every command."""

import re

import pytest
import typer
from typer.testing import CliRunner

from ragkit.cli.main import app


def leaves(command, words=()):
    """Return every command by the words that call it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        return {words: command}
    return {path: leaf for name, one in inner.items() for path, leaf in leaves(one, (*words, name)).items()}


COMMANDS = leaves(typer.main.get_command(app))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_says_all_that_was_written_of_each_option(words):
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    said = set(re.sub(r"[│╭╮╰╯─]", " ", shown).split())
    assert set((COMMANDS[words].help or "-").split()) <= said
    for option in COMMANDS[words].params:
        # What stands in square brackets would be taken for a style and swallowed.
        assert set((option.help or "").split()) <= said, option.name

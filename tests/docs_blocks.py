"""The code blocks of a Markdown page, and how a reader would run them."""

import ast
import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import typer

from ragkit.cli.main import app, main

FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVE = re.compile(r"(?:[A-Z_]+=\S+ )*ragkit serve ")
SHELL = re.compile(r"[|&;<>$`*]")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block. Its title says what it requires, or the name of the file that it is."""

    language: str
    title: str
    text: str
    line: int

    @property
    def runs(self):
        return self.language in ("python", "sh") and not self.title

    @property
    def file(self):
        return self.title if re.fullmatch(r"[\w./-]+\.\w+", self.title) else ""


def read_blocks(path):
    text = path.read_text(encoding="utf-8")
    blocks = []
    for found in FENCE.finditer(text):
        title = re.fullmatch(r'(?: title="([^"]+)")?', found[2])
        line = text.count("\n", 0, found.start()) + 1
        assert title, f"{path.name}:{line}: unknown info string {found[2]!r}"
        assert found[1], f"{path.name}:{line}: the block has no language"
        blocks.append(Block(found[1], title[1] or "", found[3], line))
    return blocks


class Reader:
    """Runs the blocks of a page in order: Python in one namespace, commands in one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.names = {"__name__": "__main__"}
        self.servers = []
        self.address = ""

    def run(self, block):
        """Run a block and return what it printed, or None if it is not run."""
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            return None
        if not block.runs:
            return None
        text = block.text.replace("http://127.0.0.1:8000/", self.address) if self.address else block.text
        if block.language == "python":
            return self._python(text, block.line)
        return self._shell(text)

    def _python(self, text, line):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * line + text, "block", "exec"), self.names)
        return printed.getvalue()

    def _shell(self, text):
        if SERVE.match(text):
            return self._serve(text)
        lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
        if all(line.startswith("ragkit ") and not SHELL.search(line.partition(" #")[0]) for line in lines):
            return "".join(self._ragkit(shlex.split(line, comments=True)) for line in lines)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _ragkit(self, words):
        """Run the command in this process, which has loaded everything that it needs."""
        printed, remarks, code = io.StringIO(), io.StringIO(), 0
        argv, sys.argv = sys.argv, words
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(remarks):
                main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            sys.argv = argv
        assert code == 0, f"{shlex.join(words)}: exit {code}\n{printed.getvalue()}\n{remarks.getvalue()}"
        return printed.getvalue()

    def _serve(self, text):
        variables, command = text.split("ragkit serve ", 1)
        environment = self._environment() | dict(word.split("=", 1) for word in variables.split())
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "ragkit.cli", "serve", *shlex.split(command, comments=True), "--port", "0"],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.servers.append(process)
        printed = ""
        for line in process.stdout:
            printed += line
            if "Ctrl-C" in line:
                break
        found = re.search(r"http://\S+:\d+/", printed)
        assert found, printed
        self.address = found.group()
        return printed.replace(self.address, "http://127.0.0.1:8000/")

    def _environment(self):
        folder = self.folder / ".bin"
        folder.mkdir(exist_ok=True)
        script = folder / "ragkit"
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m ragkit.cli "$@"\n')
        script.chmod(0o755)
        root = str(Path(__file__).parents[1])
        return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": root}

    def close(self):
        for process in self.servers:
            process.kill()
            process.wait()
            process.stdout.close()


def matches(expected, printed):
    return doctest.OutputChecker().check_output(expected, printed, FLAGS)


def check(block):
    """Check without running: syntax, imported names, commands and their options."""
    if block.language == "python":
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "ragkit":
                for alias in node.names:
                    getattr(import_module(node.module), alias.name)
    elif block.language == "sh":
        subprocess.run(["bash", "-n", "-c", block.text], check=True)
        for line in re.split(r"\n|&&|\|", block.text.replace("\\\n", " ")):
            words = shlex.split(line, comments=True)
            while words and "=" in words[0]:
                words = words[1:]
            if words[:1] == ["ragkit"]:
                check_command(words[1:])


def check_command(words):
    """Check that a command exists and has the options."""
    command = typer.main.get_command(app)
    while getattr(command, "commands", None):
        assert words, "the command is incomplete"
        if command.name == "eval" and words[0] not in command.commands:
            words = ["run", *words]
        assert words[0] in command.commands, f"unknown command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    known = {option for each in command.params for option in [*each.opts, *each.secondary_opts]} | {"--help"}
    for word in words:
        if re.match(r"--?[a-z]", word):
            assert word.partition("=")[0] in known, f"unknown option {word!r}"

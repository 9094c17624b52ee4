"""Every code block of README.md and of the documentation runs, and prints what the page shows.

A block whose title begins with "Requires" needs a key, a network, a language model or training data, and is checked
only.
"""

import shutil
from pathlib import Path

import pytest

from ragkit import Index
from tests.docs_blocks import Reader, check, matches, read_blocks

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "docs" / "samples"
PAGES = [
    path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if any(block.language in ("python", "sh") for block in read_blocks(path))
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """An index of the sample documents, which each page's folder starts with."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(SAMPLES, folder / "docs")
    with Index.create(folder / "indexes" / "samples") as index:
        index.add(folder / "docs")
    return folder


@pytest.fixture
def reader(built, tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "RAGKIT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAGKIT_THREADS", "1")
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    shutil.copytree(ROOT / "notebooks" / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Reader(tmp_path)
    # README.md shows no data; it has that of the tutorial.
    for block in read_blocks(ROOT / "docs" / "tutorial.md"):
        if block.file:
            made.run(block)
    yield made
    made.close()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_are_valid_and_name_existing_commands_and_options(path):
    for block in read_blocks(path):
        try:
            check(block)
        except Exception as error:
            raise AssertionError(f"{path.name}:{block.line}: {error}") from error


def test_invalid_blocks_are_found(tmp_path):
    page = tmp_path / "page.md"
    for language, text in (
        ("python", "x = ("),
        ("python", "from ragkit.models import NoSuchName"),
        ("sh", "ragkit asks ./docs"),
        ("sh", "ls && ragkit ask ./docs question --no-such-option"),
    ):
        page.write_text(f'```{language} title="Requires a key"\n{text}\n```\n')
        [block] = read_blocks(page)
        assert not block.runs
        with pytest.raises((AssertionError, SyntaxError, AttributeError, ImportError)):
            check(block)


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_run_and_print_what_the_page_shows(path, reader):
    printed = None
    for block in read_blocks(path):
        if block.language == "text" and not block.title and printed is not None:
            assert matches(block.text, printed), f"{path.name}:{block.line} prints:\n{printed}"
        try:
            printed = reader.run(block)
        except Exception as error:
            raise AssertionError(f"{path.name}:{block.line}: {type(error).__name__}: {error}") from error

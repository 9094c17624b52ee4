"""User-facing text uses standard terms: the phrases below occur in none of it."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PHRASES = (
    r"\bbears? (it|this|that|them|a sentence|the answer)( \w+)? out\b",
    r"\bbears? out\b",
    r"\bborne out\b",
    r"\b[Mm]end(s|ed|ing)?\b",
    r"\b[Tt]ell whether\b",
    r"(?<![Tt]here )\bis no (JSON|TOML|object|text|file|list|number)\b",
    r"\bis of no kind\b",
    r"^Give (a|an|the|it|them|each|one|some|both|more)\b",
    r"\bNobody's\b",
    r"\banew\b",
    r"\bchosen afresh\b",
    r"\b[Tt]he way of\b",
    r"\bways of answering\b",
    r"\bwhat is there\b",
    r"\bthat which\b",
    r"\bby chance\b",
    r"\bof chance\b",
    r"^Of [a-z ]+\.$",
    r"\bat its edge\b",
    r"\bhides all there is\b",
    r"\bis no whole\b",
    r"\bsources tell\b",
    r"\btells (what|why|how|that|whether)\b",
    r"\b(is|are|was|were) told\b",
    r"\bsays what it must not\b",
    r"\bor is unsure\b",
    r"\bthese are unsure\b",
    r"\b(this|the) room\b",
    r"\brooms\b",
    r"\ba loader a format\b",
    r"\bTake out\b",
    r"\bto be had\b",
    r"\bcan't be had\b",
    r"\bthe one who asks\b",
    r"\bwhoever\b",
    r"\bis kept here\b",
    r"\bas good\b(?! as)",
    r"\bStandings\b",
    r"\bThere is no such\b",
    r"\bneeds the right to\b",
    r"\bcan't be\.",
    r"\bgone on with\b",
    r"\bgoes on where\b",
    r"\bthe same (call|command) goes on\b",
    r"\bbroke off\b",
    r"\bthrow away an unfinished\b",
    r"\bthe likest\b",
    r"\bso many of\b",
    r"\bmade where there is none\b",
    r"\bas work goes on\b",
    r"\bThere may stand\b",
    r"\bnone is given\b",
    r"\blet go of\b",
    r"\bno whole\b",
    r"\b(None|[Ee]mpty|True|False) where (there|it|they|none|no|nothing|that)\b",
    r"\bholds (no|the answer|an answer|a value|text)\b(?! more)",
    r"(?<![Tt]here )\b(is|are) no (documents?|text|sign|unit|names?|feedback log|whole|gain)\b",
    r"^What came of an? ",
    r"^As (sent|shown|it was asked)\b",
    r"\bc[ao]mes? of\b(?! age)",
    r"\bwhole or not at all\b",
    r"\bheeds?\b",
    r"\bin silence\b",
    r"\bforetells?\b",
    r"\bgo(es)? before\b",
    r"\bto go on with\b",
    r"\bat most so many\b",
    r"\bhow many at most\b",
    r"\bin the hands of\b",
    r"\bstands? (alone|beside|behind|between|in its place|above|there)\b",
    r"\b(None|[Ee]mpty|0|True|False) where\b",
    r"\bas it stands\b",
    r"\bheld to (a|the|that|one)\b",
    r"\b(is|are|was|were) broken off\b",
    r"\btells? (of|nothing|itself|which|if)\b",
    r"\bso long as\b",
    r"\bmost like (it|the|that)\b",
    r"\bthe commonest\b",
    r"\bteaches? nothing\b",
    r"\bnearness in meaning\b",
    r"\bwhat it holds\b",
)
FRAGMENT = re.compile(r"\A(What|How|Where|Who|Which|Whose|Of|And|That|Those|As|So)\b")
"""Beginnings of docstrings that do not name what they document."""
PATTERN = re.compile("|".join(PHRASES), re.MULTILINE)
HELP_CALLS = {"Option", "Argument", "Typer", "Field", "Query", "command"}
PACKAGES = (
    *(
        "answering",
        "chunking",
        "documents",
        "embedding",
        "evaluation",
        "examples",
        "feedback",
        "integrations",
        "prompting",
    ),
    *(
        "retrieval",
        "routing",
        "serving",
        "cli",
        "tasks",
        "tuning",
        "models",
        "prompt_search",
        "indexing",
        "agents",
        "tables",
        "datagen",
        "adaptation",
    ),
)
"""Packages whose texts have been rewritten; the others follow one by one."""


def _docstrings(node: ast.Module | ast.ClassDef) -> Iterator[str]:
    """Yield the docstrings of a module's or a class's public names, attributes included."""
    body = node.body
    yield ast.get_docstring(node) or ""
    for before, item in zip([None, *body], body, strict=False):
        if isinstance(item, ast.ClassDef) and not item.name.startswith("_"):
            yield from _docstrings(item)
        elif isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and not item.name.startswith("_"):
            yield ast.get_docstring(item) or ""
        elif isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(item, ast.Expr):
            target = before.targets[0] if isinstance(before, ast.Assign) else before.target
            private = isinstance(target, ast.Name) and target.id.startswith("_")
            if not private and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str):
                yield item.value.value


def _messages(module: ast.Module) -> Iterator[str]:
    """Yield the strings of errors and of help texts."""
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and any(
            isinstance(to, ast.Name) and "hint" in to.id.lower() for to in node.targets
        ):
            yield from _strings(node.value)
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name.endswith("Error") or name in HELP_CALLS or name in ("not_found", "wrong", "issue", "Issue"):
            yield from _strings(node)


def _strings(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _hits(texts: Iterator[str] | list[str], place: str) -> list[str]:
    return [
        f"{place}: {found.group()!r} in {text.strip()[:100]!r}" for text in texts for found in PATTERN.finditer(text)
    ]


def _source_hits(folder: Path, pattern: str) -> list[str]:
    found = []
    for path in sorted(folder.glob(pattern)):
        module = ast.parse(path.read_text(encoding="utf-8"))
        found += _hits([*_docstrings(module), *_messages(module)], str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_errors_and_help_of_a_package_use_standard_terms(package):
    assert not _source_hits(ROOT / "ragkit" / package, "**/*.py")


def test_docstrings_and_errors_of_root_modules_use_standard_terms():
    assert not _source_hits(ROOT / "ragkit", "*.py")


def test_docstrings_name_what_they_document():
    found = []
    for path in sorted((ROOT / "ragkit").rglob("*.py")):
        texts = _docstrings(ast.parse(path.read_text(encoding="utf-8")))
        found += [f"{path.relative_to(ROOT)}: {text[:100]!r}" for text in texts if FRAGMENT.match(text)]
    assert not found


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")),
    ],
)
def test_documentation_uses_standard_terms(path):
    assert not _hits((ROOT / path).read_text(encoding="utf-8").splitlines(), path)


def test_page_uses_standard_terms():
    page = ROOT / "ragkit" / "serving" / "page"
    found = []
    for path in [*page.glob("*.html"), *page.glob("js/*.js")]:
        found += _hits(path.read_text(encoding="utf-8").splitlines(), path.name)
    assert not found


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb")))
def test_notebook_text_uses_standard_terms(name):
    cells = json.loads((ROOT / "notebooks" / name).read_text(encoding="utf-8"))["cells"]
    assert not _hits(["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"], name)


def test_phrases_are_found_in_the_old_texts():
    old = ["No source that was found bears this sentence out.", "Of chance.", "what mends it", "The way of the data"]
    assert all(PATTERN.search(text) for text in old)

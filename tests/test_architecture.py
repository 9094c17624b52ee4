"""The shape that design and users rely on: import direction, public names, light imports, small modules."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ragkit

PACKAGE = Path(ragkit.__file__).parent
PACKAGES = [
    "_lazy",
    "_machine",
    "_files",
    "_sqlite",
    "_stats",
    "_progress",
    "_telemetry",
    "_tracing",
    "display",
    "records",
    "errors",
    "_child",
    "_process",
    "_workers",
    "_hub",
    "_hub_client",
    "_providers",
    "_keys",
    "settings",
    "documents",
    "chunking",
    "embedding",
    "indexing",
    "retrieval",
    "examples",
    "prompting",
    "models",
    "answering",
    "tasks",
    "prompt_search",
    "datagen",
    "tuning",
    "routing",
    "feedback",
    "agents",
    "tables",
    "evaluation",
    "adaptation",
    "serving",
    "cli",
    "integrations",
]
HEAVY = [
    "torch",
    "transformers",
    "sentence_transformers",
    "langchain_core",
    "faiss",
    "llama_cpp",
    "onnxruntime",
    "trafilatura",
    "pypdf",
    "huggingface_hub",
]
STARTS_PROCESSES = re.compile(
    r"(subprocess|multiprocessing|_?posixsubprocess|pty|joblib|loky|concurrent\.futures\.(process|ProcessPool))"
    r"|(os|posix|asyncio)\.(fork|system|popen|exec|spawn|posix_spawn|startfile|create_subprocess)"
)
KNOW_EVERYTHING = {"cli", "serving", "integrations"}
SHORTCUTS = {
    "records.py": {"answering"},  # the type of Answer.trace, for type checkers only
    "indexing/index.py": {"retrieval"},  # Index.search
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_packages(path: Path) -> set[str]:
    packages = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            names = [node.module or ""]
        packages |= {name.split(".")[1] for name in names if name.startswith("ragkit.")}
    return packages


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_up_only(path):
    package = package_of(path)
    if package == "__init__":
        return
    assert package in PACKAGES, f"{package} is not a package of the design"
    if package in KNOW_EVERYTHING:
        return
    below = {other for other in imported_packages(path) if PACKAGES.index(other) > PACKAGES.index(package)}
    below -= SHORTCUTS.get(str(path.relative_to(PACKAGE)), set())
    assert not below, f"{path.relative_to(PACKAGE)} imports {below}, which come after {package}"
    if package not in {"settings"}:
        assert "settings" not in imported_packages(path), "settings are passed on as arguments"


def test_public_names_are_listed_and_load():
    assert sorted(ragkit.__all__) == [
        "Answer",
        "Assistant",
        "Chunk",
        "Citation",
        "Document",
        "Example",
        "Hit",
        "Index",
        "Message",
        "RagkitError",
        "Retriever",
        "Usage",
        "__version__",
    ]
    for name in ragkit.__all__:
        assert getattr(ragkit, name) is not None


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match="Assistant"):
        ragkit.Asistant  # noqa: B018


@pytest.mark.parametrize(
    "statement",
    ["import ragkit", "import ragkit.cli.main", "from ragkit import Answer, Document, Index, Assistant"],
)
def test_import_loads_nothing_heavy(statement):
    code = f"{statement}\nimport sys\nprint(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("statement", "unneeded"),
    [
        ("import ragkit.cli.main", ["numpy", "pydantic", "ragkit.indexing", "ragkit.embedding", "ragkit.models"]),
        ("import ragkit.models", ["ragkit.embedding", "ragkit.models.anthropic", "ragkit.models.chain.fallback"]),
    ],
)
def test_import_loads_only_what_it_needs(statement, unneeded):
    code = f"{statement}\nimport sys\nprint(*[m for m in {unneeded} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("init", sorted(PACKAGE.glob("*/__init__.py")), ids=lambda path: path.parent.name)
def test_exported_names_are_sorted_and_load(init):
    package = importlib.import_module(f"ragkit.{init.parent.name}")
    names = getattr(package, "__all__", [])
    assert names == sorted(names, key=lambda name: (name.upper() != name, name[0].islower(), name))
    for name in names:
        assert getattr(package, name) is not None


def test_langchain_community_is_never_imported():
    for path in [*MODULES, *PACKAGE.parent.glob("benchmarks/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("langchain_community"), path


def test_only_one_module_starts_processes():
    for path in MODULES:
        if package_of(path) == "_process":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Attribute):
                names = [ast.unparse(node)]
            starts = [name for name in names if STARTS_PROCESSES.match(name)]
            assert not starts, f"{path.relative_to(PACKAGE)} uses {starts}; start children with ragkit._process"

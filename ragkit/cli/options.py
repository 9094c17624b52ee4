"""Options shared by several commands."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout instead of text.")]
IndexName = Annotated[
    str,
    typer.Option("--index", "-i", metavar="NAME", help="Index: a name in the indexes folder, or a path."),
]
OwnIndexName = Annotated[
    str | None,
    typer.Option(
        "--index",
        "-i",
        metavar="NAME",
        help="Index: a name in the indexes folder, or a path (default: derived from the path of the documents).",
    ),
]
BackendAddress = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="ADDRESS",
        help="Vector store of the index from now on, such as postgresql://HOST/DATABASE; faiss for files in its "
        "folder. `ragkit backends` lists all.",
        show_default=False,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Ray cluster that reads and embeds, such as 192.168.1.5:6379; auto for the one on this machine. Its "
        "machines need ragkit, and the files at the same paths. The index does not depend on it.",
        show_default=False,
    ),
]
Shards = Annotated[
    int,
    typer.Option(
        "--shards",
        metavar="N",
        min=0,
        help="Number of shards of a new index, for a corpus that is too large for one (default: none).",
        show_default=False,
    ),
]
Partial = Annotated[
    bool,
    typer.Option("--partial", help="Leave out missing and damaged shards of an index, and list them as warnings."),
]
TargetName = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="An index (name or path), or a folder or file of documents.",
        show_default=False,
    ),
]
Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        "-w",
        metavar="FILTER",
        help="Metadata filter, such as \"year >= 2020 and lang in ('en')\".",
    ),
]
Password = Annotated[
    list[str] | None, typer.Option("--password", help="Password for encrypted files. Can be repeated.")
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="GLOB",
        help="Only files whose name matches, as in '*.pdf'; a pattern with a slash matches the path "
        "relative to the folder. Can be repeated.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help="Skip files that match. Can be repeated."),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        help="CPU time limit per file, for each started MB of its size (default: 30).",
        show_default=False,
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        metavar="N",
        min=0,
        help="Processes that read files at once (default: one per core). The index does not depend on it.",
        show_default=False,
    ),
]
MemoryLimit = Annotated[
    int | None,
    typer.Option(
        "--memory-limit",
        metavar="MB",
        min=1,
        help="Memory limit for reading a file (default: 512).",
        show_default=False,
    ),
]
GitIgnored = Annotated[bool, typer.Option("--gitignore", help="Skip files that .gitignore excludes.")]
MainText = Annotated[
    bool,
    typer.Option(
        "--main-text",
        help="Extract only the main text of HTML pages (default: all text except navigation).",
    ),
]
Comments = Annotated[
    bool,
    typer.Option(
        "--comments/--no-comments", help="Comments of DOCX files, read or left out (default: read).", show_default=False
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Read all files again, including unchanged ones.")]

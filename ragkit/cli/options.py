"""Options that several commands take, said once."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]
IndexName = Annotated[
    str,
    typer.Option("--index", "-i", metavar="NAME", help="An index: a name under the indexes folder, or a path."),
]
OwnIndexName = Annotated[
    str | None,
    typer.Option(
        "--index",
        "-i",
        metavar="NAME",
        help="A name under the indexes folder, or a path (default: the path's own).",
    ),
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
        help="Only documents that match, as in \"year >= 2020 and lang in ('en')\".",
    ),
]
Password = Annotated[
    list[str] | None, typer.Option("--password", help="For encrypted files; tried in turn. May be repeated.")
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="GLOB",
        help="Take only files of a folder whose name matches, as in '*.pdf'; a pattern with a slash matches the path "
        "below the folder. May be repeated.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help="Leave out matching files of a folder. May be repeated."),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit",
        metavar="SECONDS",
        help="Processor time for reading a file of up to 1 MB, and for each further MB (default: 30).",
        show_default=False,
    ),
]
MemoryLimit = Annotated[
    int | None,
    typer.Option(
        "--memory-limit", metavar="MB", min=1, help="Memory for reading a file (default: 512).", show_default=False
    ),
]
GitIgnored = Annotated[
    bool, typer.Option("--gitignore", help="Leave out the files of a folder that its .gitignore files name.")
]
MainText = Annotated[
    bool,
    typer.Option(
        "--main-text",
        help="Main text of HTML pages only, for pages taken from the web (default: all text but navigation).",
    ),
]
Comments = Annotated[
    bool,
    typer.Option(
        "--comments/--no-comments", help="Comments of DOCX files, read or left out (default: read).", show_default=False
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Read all files again, unchanged ones too.")]

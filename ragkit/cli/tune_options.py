"""The options that commands of ``ragkit tune`` have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="Each run makes a new version of it.", show_default=False)]
HeldOut = Annotated[
    Path | None,
    typer.Option("--held-out", metavar="FILE", help="To measure on (default: a share of what is given, by chance)."),
]
Share = Annotated[float, typer.Option(min=0.01, max=0.9, help="Of what is given that is held out, without --held-out.")]
Tests = Annotated[
    list[Path] | None,
    typer.Option("--test", metavar="FILE", help="A further split of which nothing may be learned. May be repeated."),
]
Base = Annotated[
    str, typer.Option(help="The model: a name from `ragkit models list`, a .gguf file, or a Hugging Face folder.")
]
Minutes = Annotated[float | None, typer.Option(min=0.01, help="Of training, at most.", show_default=False)]
Adapters = Annotated[Path, typer.Option("--adapters", metavar="FOLDER", help="The folder of adapters.")]
Restart = Annotated[bool, typer.Option("--restart", help="Throw away an unfinished run.")]
Rank = Annotated[int, typer.Option(min=1, help="Of the adapter: what it can hold.")]
LearningRate = Annotated[float, typer.Option(help="The highest, after the rise at the beginning.")]

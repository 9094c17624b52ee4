"""Options shared by the ``ragkit tune`` commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="Name of the adapter; each run creates a new version.", show_default=False)]
HeldOut = Annotated[
    Path | None,
    typer.Option("--held-out", metavar="FILE", help="Validation file (default: random split of the training data)."),
]
ValFraction = Annotated[
    float, typer.Option(min=0.01, max=0.9, help="Fraction held out for validation, without --held-out.")
]
Tests = Annotated[
    list[Path] | None,
    typer.Option(
        "--test",
        metavar="FILE",
        help="Test split; its near-duplicates are removed from the training data. Can be repeated.",
    ),
]
Base = Annotated[
    str, typer.Option(help="Base model: a name from `ragkit models list`, a .gguf file, or a Hugging Face folder.")
]
Minutes = Annotated[float | None, typer.Option(min=0.01, help="Maximum training time, in minutes.", show_default=False)]
Adapters = Annotated[Path, typer.Option("--adapters", metavar="FOLDER", help="Folder of adapters.")]
Restart = Annotated[bool, typer.Option("--restart", help="Discard an unfinished run and start again.")]
Rank = Annotated[int, typer.Option(min=1, help="LoRA rank.")]
LearningRate = Annotated[float, typer.Option(help="Peak learning rate, after warm-up.")]

"""Options and modes of answering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ragkit.answering.compression.context import check_ratio
from ragkit.answering.evidence import REFUSE_BELOW, UNSURE_BELOW
from ragkit.answering.extract import ExtractOptions
from ragkit.answering.kinds import Kind
from ragkit.answering.readers import READERS, Reader
from ragkit.prompting import PromptOptions
from ragkit.retrieval import Expansion, RetrievalOptions

Mode = Literal["auto", "chat", "extract", "quotes"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """Options of an ``Assistant``."""

    retrieval: RetrievalOptions = field(default_factory=RetrievalOptions)
    prompt: PromptOptions = field(default_factory=PromptOptions)
    extract: ExtractOptions = field(default_factory=ExtractOptions)
    expansion: Expansion = "none"
    """Amount of text around a hit that a prompt shows."""
    threshold: float = REFUSE_BELOW
    """Relevance below which the answer is "not in the documents"; 0 to always answer."""
    unsure_below: float = UNSURE_BELOW
    """Evidence score below which an answer is marked as unsure; docs/benchmarks.md has the effect of each threshold."""
    readers: Mapping[Kind, Sequence[Reader]] = field(default_factory=lambda: READERS)
    """Readers without a model, by kind of question; the first reply is used, or quotes if there is none."""
    follow_names: bool = True
    """Also show passages that the best hits refer to by name if the evidence for ``chat`` is weak. This helps with
    questions that need two passages; see ``ragkit.retrieval.retrieve_linked``."""
    rewrite: bool = True
    """Let the model rewrite a follow-up, and translate a question in another language than the documents, before the
    search. Models with a billion parameters or more, and endpoints, do both; models with 0.4 billion or more
    translate."""
    compress: float | None = None
    """Share of the tokens of the passages that the prompt shows, such as 0.25; None shows them in full. See
    ``ragkit.answering.compress``; an answer without a model is not affected."""
    temperature: float | None = None
    """Sampling temperature of ``chat``; see ``GenerationOptions``."""
    seed: int | None = None
    shots: int = 4
    """Number of answered questions in the ``chat`` prompt, if the assistant has examples."""
    stop: tuple[str, ...] = ()
    """Stop sequences of ``chat``; see ``GenerationOptions``."""
    instructions: str = ""
    """Instructions of the calling application for ``chat``, such as on style or language. The prompt shows them fenced,
    after ragkit's own, which they do not replace."""
    json_schema: Mapping[str, Any] | None = None
    """JSON schema of the answer, which ``chat`` then writes as JSON: its strings are checked and have citations, but no
    numbers are put into the text."""
    templates: Path | None = None
    """A folder of prompt templates that replace ragkit's own."""

    def __post_init__(self) -> None:
        if self.compress is not None:
            check_ratio(self.compress)

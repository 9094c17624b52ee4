"""Answers questions with checked citations: by a chat model, by a span of the documents, or by quotes."""

from ragkit.answering.assistant import Assistant
from ragkit.answering.compression import Compressed, Compression, compress
from ragkit.answering.events import AnswerEvent, Finished, Generating, ModelNeeded, PromptBuilt, Retrieved, TextDelta
from ragkit.answering.extract import ExtractOptions
from ragkit.answering.options import AnswerOptions
from ragkit.answering.trace import Trace

__all__ = [
    "AnswerEvent",
    "AnswerOptions",
    "Assistant",
    "Compressed",
    "Compression",
    "ExtractOptions",
    "Finished",
    "Generating",
    "ModelNeeded",
    "PromptBuilt",
    "Retrieved",
    "TextDelta",
    "Trace",
    "compress",
]

"""Builds a prompt from question, sources, examples and history that fits the model, with a receipt of its tokens."""

from ragkit.prompting.assembler import PromptAssembler, PromptOptions
from ragkit.prompting.receipt import Prompt, Receipt, ReceiptSection
from ragkit.prompting.shot_template import ShotTemplate
from ragkit.prompting.sources import Source, sources_from_hits, whole_source
from ragkit.prompting.template_files import Templates

__all__ = [
    "Prompt",
    "PromptAssembler",
    "PromptOptions",
    "Receipt",
    "ReceiptSection",
    "ShotTemplate",
    "Source",
    "Templates",
    "sources_from_hits",
    "whole_source",
]

"""Tokenises prompts and replies exactly as at inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragkit.errors import MissingExtraError, ModelFileError
from ragkit.models.chat_template import PLAIN, ChatTemplate
from ragkit.models.engine import Engine
from ragkit.records import Message


@dataclass(frozen=True, slots=True)
class ModelTokens:
    """Tokenizer and chat template of a model, as ``LlamaCppModel`` uses them."""

    template: ChatTemplate
    tokenize: Callable[[str, bool], list[int]]
    """Takes a text and whether to parse control tokens in it."""
    start: tuple[int, ...]
    """Start tokens of a prompt, if the template does not contain them."""
    lead: str
    """Text between prompt and reply: a space for a model without a template."""
    end: tuple[int, ...]
    """Tokens that end a reply."""
    text: Callable[[Sequence[int]], str]
    """Takes the tokens of a reply; returns their text without control tokens."""

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of a prompt, up to the start of the reply.

        Raises:
            PromptError: if the template rejects the messages.
        """
        tokens = self.template.tokens(messages, self.tokenize)
        return tokens if tuple(tokens[: len(self.start)]) == self.start else [*self.start, *tokens]

    def reply(self, text: str) -> list[int]:
        """Return the tokens of a complete reply, including the end tokens."""
        return [*self.tokenize(self.lead + text, False), *self.end]


def gguf_tokens(path: Path) -> ModelTokens:
    """Return the tokenizer of a GGUF model, by llama.cpp.

    Raises:
        MissingExtraError: if llama-cpp-python is not installed.
        ModelFileError: if llama.cpp can't read the file.
    """
    engine = Engine(path, window=64, threads=1)
    source = engine.metadata("tokenizer.chat_template")
    template = ChatTemplate(source or PLAIN, engine.name_of(engine.start), engine.name_of(engine.end))
    line_end = [] if source else engine.tokenize("\n")
    return ModelTokens(
        template,
        lambda text, special: engine.tokenize(text, special=special),
        (engine.start,) if engine.adds_start else (),
        "" if source else " ",
        (*line_end, engine.end),
        lambda tokens: b"".join(map(engine.piece, tokens)).decode("utf-8", "replace"),
    )


def folder_tokens(folder: Path) -> ModelTokens:
    """Return the tokenizer of a model in a Hugging Face folder.

    Raises:
        MissingExtraError: if transformers is not installed.
        ModelFileError: if the folder contains no tokenizer.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "tune", "to tune a model") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelFileError(
            f"{folder} contains no readable tokenizer: {error}.", "Specify a folder with tokenizer.json."
        ) from error

    def tokenize(text: str, special: bool) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=not special)["input_ids"]
        return found

    source = tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else None
    template = ChatTemplate(source or PLAIN, tokenizer.bos_token or "", tokenizer.eos_token or "")
    begun = tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    line_end = [] if source else tokenize("\n", False)
    if tokenizer.eos_token_id is None:
        raise ModelFileError(f"The tokenizer in {folder} has no end token.", "Set eos_token in its configuration.")
    start = (tokenizer.bos_token_id,) if begun else ()

    def text(tokens: Sequence[int]) -> str:
        found: str = tokenizer.decode(list(tokens), skip_special_tokens=True)
        return found

    return ModelTokens(template, tokenize, start, "" if source else " ", (*line_end, tokenizer.eos_token_id), text)

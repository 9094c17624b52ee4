"""Builds prompts that fit the window, counted by the model's own tokenizer, and reports everything that is cut."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ragkit.chunking import sentence_spans
from ragkit.display import unit_name
from ragkit.errors import PromptOverflowError, SettingsError
from ragkit.prompting.receipt import Prompt, Receipt, ReceiptSection, State
from ragkit.prompting.sources import Source, trimmed
from ragkit.prompting.template_files import Templates
from ragkit.records import Example, Message

if TYPE_CHECKING:
    from ragkit.prompting.receipt import Counter

_INSTRUCTIONS_SHARE = 0.25
"""Maximum share of the window for the caller's instructions, after ragkit's instructions, question and reply."""
_LEAST_SHARE = 0.3
"""Minimum share of a trimmed passage; otherwise, it is left out."""


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """Division of a window. Passages get what shots and history leave."""

    answer_tokens: int = 160
    """Tokens reserved for the reply."""
    shots_share: float = 0.25
    """Maximum share of the window for shots, after ragkit's instructions, question and reply."""
    history_share: float = 0.25
    """Maximum share for the chat history."""
    passages: int = 4
    """Maximum number of sources."""

    def __post_init__(self) -> None:
        if not (self.shots_share >= 0 and self.history_share >= 0 and self.shots_share + self.history_share < 1):
            raise SettingsError(
                f"Shares of {self.shots_share} and {self.history_share} leave nothing for passages.",
                "Their sum must be less than 1.",
            )
        if self.answer_tokens < 1 or self.passages < 0:
            raise SettingsError(
                "answer_tokens must be 1 or more, and passages 0 or more.", "Change the one that is not."
            )


class PromptAssembler:
    """Builds prompts for ``chat``.

    The order is instructions, shots, history, sources, question: parts that are constant between calls come first, so
    that the model's prefix cache is used.

    Args:
        model: counts tokens and has a window.
        templates: templates of the prompt.
        options: division of the window.
    """

    def __init__(
        self, model: Counter, templates: Templates | None = None, options: PromptOptions | None = None
    ) -> None:
        self.model = model
        self.templates = templates or Templates.load()
        self.options = options or PromptOptions()

    def assemble(
        self,
        question: str,
        sources: Sequence[Source],
        shots: Sequence[Example] = (),
        history: Sequence[Message] = (),
        instructions: str = "",
        json_schema: Mapping[str, Any] | None = None,
    ) -> Prompt:
        """Build a prompt.

        If the window is too small, the oldest turns of the chat are dropped first, then the last shots, then the last
        sources. The first source that does not fit completely is trimmed at the end of a sentence, and so are
        instructions of the caller.

        Args:
            question: question as asked.
            sources: sources, best first.
            shots: questions with their answers, the most useful first.
            history: the turns so far, oldest first.
            instructions: instructions of the caller, fenced and put after ragkit's own.
            json_schema: JSON schema of the reply, if it is JSON.

        Raises:
            PromptOverflowError: if ragkit's instructions, the schema, question and reply alone do not fit the model's
                window.
        """
        rules = self.templates.fill("chat_system", abstention=self.templates.texts["abstention"])
        if json_schema is not None:
            schema = json.dumps(dict(json_schema), ensure_ascii=False)
            rules += "\n" + self.templates.fill("chat_json", schema=schema)
        system = Message("system", rules)
        fixed = self._count([system], "", question)
        room = self.model.window - self.options.answer_tokens - fixed
        if room < 0:
            raise PromptOverflowError(
                f"Instructions and question take {fixed} tokens and the reply {self.options.answer_tokens}, but the "
                f"window of the model is {self.model.window}.",
                "Ask a shorter question, allow a shorter reply, or use a model with a longer window.",
            )
        sections = [
            ReceiptSection("instructions", system.content, "chat_system.txt", self.model.count_tokens([system]), "kept")
        ]
        before: list[Message] = [system]
        room -= self._add_instructions(instructions, before, sections, int(room * _INSTRUCTIONS_SHARE))
        self._add_shots(shots, before, sections, int(room * self.options.shots_share))
        self._add_history(history, before, sections, int(room * self.options.history_share))
        kept = self._add_sources(sources, question, before, sections)
        text = "\n".join(self._source_block(source) for source in kept)
        user = Message("user", self.templates.fill("chat_user", sources=text or "none", question=question))
        messages = (*before, user)
        total = self.model.count_tokens(messages)
        asked = total - sum(section.tokens for section in sections)
        sections.append(ReceiptSection("question", question, "the caller, in chat_user.txt", asked, "kept"))
        return Prompt(
            messages, tuple(kept), Receipt(tuple(sections), total, self.model.window, self.options.answer_tokens)
        )

    def _count(self, before: Sequence[Message], sources: str, question: str) -> int:
        user = Message("user", self.templates.fill("chat_user", sources=sources, question=question))
        return self.model.count_tokens([*before, user])

    def _add_instructions(
        self, instructions: str, before: list[Message], sections: list[ReceiptSection], room: int
    ) -> int:
        """Add instructions of the caller to the system message, and return their number of tokens.

        They are trimmed at a sentence's end if they are too long.
        """
        text = _unfenced(instructions.strip())
        if not text:
            return 0
        (system,) = before
        already = self.model.count_tokens(before)

        def with_first(end: int) -> Message:
            own = self.templates.fill("chat_instructions", instructions=text[:end])
            return Message("system", f"{system.content}\n\n{own}")

        ends = [end for _, end in sentence_spans(text)]
        fitting = bisect_right(ends, room, key=lambda end: self.model.count_tokens([with_first(end)]) - already)
        name, place = "caller's instructions", "the caller, in chat_instructions.txt"
        why = "" if fitting == len(ends) else f"the caller's instructions have {room} tokens"
        if not fitting:
            sections.append(ReceiptSection(name, text, place, 0, "left out", why))
            return 0
        end = ends[fitting - 1]
        before[0] = with_first(end)
        tokens = self.model.count_tokens(before) - already
        state: State = "kept" if fitting == len(ends) else "trimmed"
        sections.append(ReceiptSection(name, text[:end], place, tokens, state, why))
        return tokens

    def _add_shots(
        self, shots: Sequence[Example], before: list[Message], sections: list[ReceiptSection], room: int
    ) -> None:
        used = 0
        for number, shot in enumerate(shots, 1):
            pair = [Message("user", shot.input), Message("assistant", shot.output)]
            tokens = self.model.count_tokens([*before, *pair]) - self.model.count_tokens(before)
            text = f"{shot.input}\n{shot.output}"
            if used + tokens > room:
                why = f"shots have {room} tokens and this one takes {tokens} more"
                sections.append(ReceiptSection(f"shot {number}", text, "examples", 0, "left out", why))
                continue
            used += tokens
            before += pair
            sections.append(ReceiptSection(f"shot {number}", text, "examples", tokens, "kept"))

    def _add_history(
        self, history: Sequence[Message], before: list[Message], sections: list[ReceiptSection], room: int
    ) -> None:
        base = self.model.count_tokens(before)
        first = 0
        while first < len(history):
            # A chat begins with what the user said.
            if history[first].role != "assistant":
                tokens = self.model.count_tokens([*before, *history[first:]]) - base
                if tokens <= room:
                    break
            first += 1
        for number, message in enumerate(history, 1):
            name = f"history {number}"
            if number <= first:
                why = f"the chat so far has {room} tokens; the oldest turns go first"
                sections.append(ReceiptSection(name, message.content, message.role, 0, "left out", why))
                continue
            already = self.model.count_tokens(before)
            before.append(message)
            tokens = self.model.count_tokens(before) - already
            sections.append(ReceiptSection(name, message.content, message.role, tokens, "kept"))

    def _add_sources(
        self, sources: Sequence[Source], question: str, before: list[Message], sections: list[ReceiptSection]
    ) -> list[Source]:
        limit = self.model.window - self.options.answer_tokens
        kept: list[Source] = []
        shown = ""
        already = self._count(before, "", question)
        full = False
        for source in sources:
            name, place = f"source {source.number}", _where(source)
            if len(kept) >= self.options.passages:
                why = f"at most {self.options.passages} sources are shown"
                sections.append(ReceiptSection(name, source.text, place, 0, "left out", why))
                continue
            if full:
                sections.append(ReceiptSection(name, source.text, place, 0, "left out", "the window is full"))
                continue
            fitting, tokens = self._fitting(source, shown, question, before, already, limit)
            if fitting is None:
                full = True
                why = f"the window has {limit - already} tokens left and this takes {tokens}"
                sections.append(ReceiptSection(name, source.text, place, 0, "left out", why))
                continue
            state, why = ("kept", "") if fitting.end == source.end else ("trimmed", "cut at a sentence's end to fit")
            full = state == "trimmed"
            if fitting.shown is not None:
                state = "compressed"
            kept.append(fitting)
            shown = "\n".join(self._source_block(one) for one in kept)
            already += tokens
            sections.append(ReceiptSection(name, fitting.prompt_text, _where(fitting), tokens, state, why))  # type: ignore[arg-type]
        return kept

    def _fitting(
        self, source: Source, shown: str, question: str, before: list[Message], already: int, limit: int
    ) -> tuple[Source | None, int]:
        """Return the source, complete or trimmed to fit, with the tokens it adds; None if too little would fit."""

        def cost(candidate: Source) -> int:
            text = f"{shown}\n{self._source_block(candidate)}" if shown else self._source_block(candidate)
            return self._count(before, text, question) - already

        whole = cost(source)
        if already + whole <= limit:
            return source, whole
        if source.shown is not None:
            return None, whole
        ends = [end for _, end in sentence_spans(source.text)][:-1]
        low, high = 0, len(ends)
        best: tuple[Source, int] | None = None
        while low < high:
            middle = (low + high) // 2
            candidate = trimmed(source, source.start + ends[middle])
            tokens = cost(candidate)
            if already + tokens <= limit:
                best, low = (candidate, tokens), middle + 1
            else:
                high = middle
        if best is not None and len(best[0].text) >= _LEAST_SHARE * len(source.text):
            return best
        return None, whole

    def _source_block(self, source: Source) -> str:
        """Return a source as the prompt shows it; the marks of the fence can't occur in its text."""
        path = " > ".join(source.hit.chunk.heading_path)
        unit = unit_name(source.hit.chunk.page, source.hit.chunk.label)
        page = f", {unit}" if unit else ""
        return self.templates.fill(
            "source",
            number=source.number,
            title=_unfenced(source.document.title),
            place=_unfenced(f"{f', {path}' if path and path != source.document.title else ''}{page}"),
            text=_unfenced(source.prompt_text),
        )


def _unfenced(text: str) -> str:
    return text.replace("<<<", "< < <").replace(">>>", "> > >")


def _where(source: Source) -> str:
    return f"{source.document.source}:{source.start}-{source.end}"

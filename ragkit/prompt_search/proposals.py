"""Prompts for the proposer, parsing of its replies, and detection of leaked inputs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragkit.examples.pool import normal
from ragkit.prompt_search.base import ExampleScore
from ragkit.records import Example, Message

LONGEST = 4000
"""Maximum characters of an instruction."""
_LONG_ENOUGH = 12
"""Minimum characters of an input whose occurrence in an instruction, even inside a word, is no coincidence."""
_TAGGED = re.compile(r"<INS>(.*?)(?:</INS>|$)", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"```[^\n`]*\n(.*?)(?:```|$)", re.DOTALL)
_LABELLED = re.compile(r"\binstructions?(?: (?:is|was|reads|could be|would be))?[\s*_]{0,3}:[\s*_]{0,4}", re.IGNORECASE)
_LEAD = re.compile(r"^(?:(?:the|your|my) )?(?:\w+ )?instruction (?:is|was)(?: to)?\b[\s,:]*", re.IGNORECASE)
_BULLET = re.compile(r"^(?:[-*•>#]+\s+|\(?\d{1,2}[.)]\s+)+")
_ECHO = re.compile(r"^(?:input|output|wanted output|feedback|score)\s*:", re.IGNORECASE)
"""Start of a line that repeats the prompt."""
_SCORE = re.compile(r"\s*\bscore:\s*\d+\W*$", re.IGNORECASE)
_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»|„([^“”]+)[“”]|(?<!\w)'([^']+)'(?!\w)|`([^`]+)`")


def ask_for_instruction(demos: Sequence[Example]) -> list[Message]:
    """Return a prompt that asks for the instruction behind examples (APE's forward generation, arXiv:2211.01910)."""
    return [
        Message(
            "user",
            "I gave someone an instruction. They followed it, and for each input below they wrote the output below "
            f'it.\n\n{_as_text(demos)}\n\nWhat was the instruction? Write it in one line after "Instruction:", and '
            "nothing else.",
        )
    ]


def ask_for_variation(instruction: str) -> list[Message]:
    """Return a prompt that asks for a paraphrase of an instruction (APE's resampling)."""
    return [
        Message(
            "user",
            "Say the following instruction in other words. Keep its meaning. Write it in one line after "
            f'"Instruction:", and nothing else.\n\nInstruction: {instruction}',
        )
    ]


def ask_by_history(scored: Sequence[tuple[str, float]], demos: Sequence[Example]) -> list[Message]:
    """Return a prompt with scored instructions that asks for a better one (OPRO, arXiv:2309.03409).

    Args:
        scored: instructions with their scores, 0 to 1, the worst first.
        demos: examples of the task.
    """
    history = "\n\n".join(f"Instruction: {instruction}\nScore: {round(100 * score)}" for instruction, score in scored)
    before = f"These instructions were tried. The score goes from 0 to 100; higher is better.\n\n{history}\n\n"
    return [
        Message(
            "user",
            f"{before if scored else ''}Some inputs, and the outputs that following the instruction should give:"
            f"\n\n{_as_text(demos)}\n\nWrite an instruction that differs from those above and scores higher. It has to "
            'be short and to fit all such inputs. Write it in one line after "Instruction:", and nothing else.',
        )
    ]


def ask_to_improve(instruction: str, tried: Sequence[tuple[Example, ExampleScore]]) -> list[Message]:
    """Return a prompt that shows an instruction's results and asks for a better one (GEPA, arXiv:2507.19457).

    Args:
        instruction: the instruction; can be empty.
        tried: examples with their scores.
    """
    told = "\n\n".join(
        f"Input: {example.input}\nWanted output: {example.output}\n"
        f"Feedback: {outcome.feedback or f'score {outcome.score:.2f} of 1'}"
        for example, outcome in tried
    )
    return [
        Message(
            "user",
            f"An assistant was given this instruction:\n```\n{instruction or '(none)'}\n```\nThis is how it did:\n\n"
            f"{told}\n\nThink of why replies were wrong, and of what about the task the assistant has to be told. Then "
            "write a better instruction, which has to fit all such inputs and not only these. Put it between ``` and "
            "```, and write nothing after it.",
        )
    ]


def read_instruction(reply: str) -> str:
    """Return the instruction in a proposer's reply; empty if there is none.

    Small models add other text. The content of ``<INS>`` tags or a fenced block is returned, else the line after
    ``Instruction:``, else the first line that is neither an introduction nor an echo of an example. Bullets, bold type,
    quotation marks, ``The instruction was to`` and a score after it are removed.
    """
    for pattern in (_TAGGED, _FENCED):
        found = pattern.search(reply)
        if found is not None and re.search(r"\w", found[1]):
            return "\n".join(line.rstrip() for line in found[1].strip().splitlines())
    text = reply
    labels = list(_LABELLED.finditer(reply))
    if labels:
        text = reply[labels[0].end() :]
    lines = [_cleaned(line) for line in text.splitlines()]
    lines = [line for line in lines if re.search(r"\w", line) and not _ECHO.match(line)]
    if not lines:
        return ""
    if not labels and len(lines) > 1 and lines[0].endswith(":"):
        lines.pop(0)
    return lines[0]


def leaked_input(instruction: str, inputs: Sequence[str]) -> str | None:
    """Return the first input that occurs in an instruction, or None; case and white space are ignored.

    A short input counts only as separate words.

    Args:
        instruction: the instruction.
        inputs: inputs, normalised by ``normal``.
    """
    text = normal(instruction)
    for own in inputs:
        if not own or own not in text:
            continue
        if len(own) >= _LONG_ENOUGH or re.search(rf"(?<!\w){re.escape(own)}(?!\w)", text):
            return own
    return None


def _as_text(demos: Sequence[Example]) -> str:
    return "\n\n".join(f"Input: {demo.input}\nOutput: {demo.output}" for demo in demos)


def _cleaned(line: str) -> str:
    text = _BULLET.sub("", line.strip()).replace("**", "").replace("__", "").strip().strip("`")
    text = _SCORE.sub("", text)
    lead = _LEAD.match(text)
    if lead is not None:
        text = text[lead.end() :]
    for quoted in _QUOTED.finditer(text):
        inner = next(group for group in quoted.groups() if group)
        # A quotation in an instruction is kept; one that is most of the line is the instruction.
        if 2 * len(inner) > len(text):
            text = inner
            break
    text = text.strip()
    if text.endswith('"') and text.count('"') % 2:
        text = text[:-1].rstrip()
    return text[:1].upper() + text[1:] if lead is not None else text

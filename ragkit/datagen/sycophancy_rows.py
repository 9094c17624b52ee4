"""Training rows against sycophancy: the user's opinion says nothing about the truth, and the reply follows the truth.

As in Wei et al. (arXiv:2308.03958), opinions are drawn independently of the truth, and rows whose question the model
can't answer without an opinion are rejected: from them a small model would learn to guess.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from ragkit._progress import Progress, ProgressCallback
from ragkit.datagen.rows import DataRow, Decision, Generator
from ragkit.datagen.sycophancy import (
    PERSONAS,
    Claim,
    DocumentProbe,
    PromptBuilder,
    claim_prompt,
    claim_reply,
    claims_of,
    extract_prompts,
    preferences,
    probes_of,
    with_opinion,
)
from ragkit.models.base import ChatModel
from ragkit.records import Message

GATE = "right without opinion"
_RULES = Generator("", template="sycophancy")


def sycophancy_rows(
    model: ChatModel, rows: Sequence[DataRow], *, seed: int = 0, progress: ProgressCallback | None = None
) -> list[DataRow]:
    """Return a claim and a document row for each row that allows them, with the decision of the filter.

    Args:
        model: model that is to be tuned; it decides which rows it can answer without an opinion.
        rows: rows of kind ``qa`` with an answer span.
        seed: random seed of claims, wrong answers, opinions, personas and orders.
        progress: called for each row, with the stage ``sycophancy``.

    Raises:
        ModelError: if the model fails.
    """
    chance = random.Random(seed)  # noqa: S311
    prompts = extract_prompts(model)
    made: list[DataRow] = []
    items: list[Claim | DocumentProbe] = [*claims_of(rows, seed), *probes_of(rows, seed)]
    for number, item in enumerate(items):
        if progress is not None:
            progress(Progress("sycophancy", number, len(items)))
        made.append(_claim_row(model, item, chance) if isinstance(item, Claim) else _row(model, item, prompts, chance))
    if progress is not None:
        progress(Progress("sycophancy", len(items), len(items)))
    return made


def ordinary_rows(model: ChatModel, rows: Sequence[DataRow], count: int, seed: int = 0) -> list[DataRow]:
    """Return at most ``count`` rows without an opinion, in the same prompts, to mix with the others.

    Args:
        model: model that is to be tuned; its window limits the prompts.
        rows: rows of kind ``qa`` with an answer span.
        count: maximum number of rows.
        seed: random seed.
    """
    usable = [row for row in rows if row.kind == "qa" and row.answer_span is not None and row.evidence]
    chosen = random.Random(seed).sample(usable, min(count, len(usable)))  # noqa: S311
    prompts = extract_prompts(model)
    return [
        replace(row, messages=tuple(prompts(row.question, row)), answer=" ".join(row.answer.split()), parents=(row.id,))
        for row in chosen
    ]


def _claim_row(model: ChatModel, claim: Claim, chance: random.Random) -> DataRow:
    agreement = [
        preferences(model, claim_prompt(claim, None, reverse=reverse), (claim_reply(True, reverse=reverse), wrong))[0]
        for reverse in (False, True)
        for wrong in [claim_reply(False, reverse=reverse)]
    ]
    alone = sum(agreement) / 2
    reverse, opinion = chance.random() < 0.5, chance.random() < 0.5
    prompt = claim_prompt(claim, opinion, reverse=reverse, persona=chance.choice(PERSONAS))
    parent = claim.row
    row = DataRow(
        "sycophancy",
        tuple(prompt),
        claim_reply(claim.truth, reverse=reverse),
        None,
        parent.evidence if parent else (),
        _RULES,
        (parent.id,) if parent else (),
        license=parent.license if parent else "",
        split=parent.split if parent else "",
        tags=("claim", "user right" if opinion == claim.truth else "user wrong"),
    )
    return row.decided(_decision(alone if claim.truth else 1.0 - alone, model))


def _row(model: ChatModel, probe: DocumentProbe, prompts: PromptBuilder, chance: random.Random) -> DataRow:
    parent, answer = probe.row, " ".join(probe.row.answer.split())
    alone = preferences(model, prompts(parent.question, parent), (answer, " ".join(probe.wrong.quote.split())))[0]
    right, last = chance.random() < 0.5, chance.random() < 0.5
    claimed = answer if right else probe.wrong.quote
    asked = with_opinion(parent.question, claimed, opinion_last=last, persona=chance.choice(PERSONAS))
    messages: tuple[Message, ...] = tuple(prompts(asked, parent))
    row = replace(
        parent,
        kind="sycophancy",
        messages=messages,
        answer=answer,
        generator=_RULES,
        parents=(parent.id,),
        scores={},
        decisions=(),
        tags=("document", "user right" if right else "user wrong"),
    )
    return row.decided(_decision(alone, model))


def _decision(probability: float, model: ChatModel) -> Decision:
    kept = probability > 0.5
    reason = "" if kept else f"{model.name} is wrong without an opinion too."
    return Decision(GATE, kept, probability, 0.5, reason)

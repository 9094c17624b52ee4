"""Records as HTML for notebooks: self-contained, readable on light and dark, and with every text escaped.

It uses only the fields of records, so that all packages can call it. Colours are those of the surrounding page with
translucent overlays. The HTML loads no resources and runs no scripts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_CITED = re.compile(r"\[(\d+)\]")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Signs that can't be seen and change what is, such as overrides of the reading order."""
_SOFT = "opacity:.72;font-size:.88em"
_BOX = "border:1px solid rgba(128,128,128,.35);border-radius:6px;padding:.5em .7em;margin:.4em 0"
_MARK = "background:rgba(255,190,0,.38);color:inherit;border-radius:2px;padding:0 .1em"
_UNSUPPORTED = "text-decoration:underline wavy rgba(214,96,36,.95);text-underline-offset:.2em"
_PRE = "white-space:pre-wrap;overflow-wrap:anywhere;margin:.2em 0 0;font-family:inherit;background:none;color:inherit"
_TABLE = "border-collapse:collapse;font-size:.95em;margin:.4em 0;text-align:left"
_CELL = "padding:.15em .8em .15em 0;vertical-align:top;text-align:left;border:0;background:none"
_QUOTE = 600
"""Characters of a passage that are shown."""


def answer_html(answer: Any) -> str:
    """Return an answer with its citations, with unsupported sentences marked and a collapsed trace.

    Args:
        answer: a ``ragkit.records.Answer``.
    """
    trace = answer.trace
    parts = [f'<div style="{_SOFT}">{_text(answer.question)}</div>', _said(answer)]
    parts += [_citation(one) for one in answer.citations]
    if answer.unsupported:
        count = len(answer.unsupported)
        what = "sentence" if count == 1 else f"{count} sentences"
        mark = f'<span style="{_UNSUPPORTED}">underlined</span>'
        against = len(answer.contradicted)
        told = f", {against} of them contradicted by a source" if against else ""
        parts.append(f'<div style="{_SOFT}">{mark}: {what} that no source supports{told}</div>')
    facts = [answer.mode, f"confidence {answer.confidence:.2f}"]
    if trace is not None:
        facts += _made(trace)
    parts.append(f'<div style="{_SOFT}">{_text(" · ".join(facts))}</div>')
    if trace is not None and trace.hits:
        parts.append(_folded(f"{len(trace.hits)} passages found", hits_html(trace.hits)))
    if trace is not None and trace.prompt is not None:
        parts.append(_folded(f"the prompt as sent, {trace.prompt.receipt.tokens:,} tokens", prompt_html(trace.prompt)))
    return _whole(parts)


def hits_html(hits: Sequence[Any], query: str = "") -> str:
    """Return passages, best first, each with a bar for its score relative to the best.

    Args:
        hits: ``ragkit.records.Hit`` records.
        query: query that found them.
    """
    if not hits:
        return _whole(["No passages."])
    best = max(hit.score for hit in hits)
    least = min(0.0, min(hit.score for hit in hits))
    rows = [f'<div style="{_SOFT}">{_text(query)}</div>'] if query else []
    for number, hit in enumerate(hits, 1):
        share = (hit.score - least) / (best - least) if best > least else 1.0
        scores = " · ".join(f"{name} {value:.3f}" for name, value in hit.scores.items())
        bar = (
            f'<div role="img" aria-label="score {hit.score:.3f}" style="background:rgba(128,128,128,.22);height:.35em;'
            f'border-radius:3px;margin:.25em 0"><div style="width:{100 * share:.1f}%;height:100%;border-radius:3px;'
            'background:rgba(56,128,210,.85)"></div></div>'
        )
        place = _place(hit.document.title, unit_name(hit.chunk.page, hit.chunk.label), hit.chunk.heading_path)
        rows.append(
            f'<div style="{_BOX}"><b>{number}</b> {place} <span style="{_SOFT}">{_text(scores)}</span>{bar}'
            f"<div>{_passage(hit.chunk.text)}</div></div>"
        )
    return _whole(rows)


def prompt_html(prompt: Any) -> str:
    """Return a prompt: each message with its role, and the receipt of included and omitted parts.

    Args:
        prompt: a ``ragkit.prompting.Prompt``.
    """
    receipt = prompt.receipt
    parts = [
        f'<div style="{_BOX}"><b>{_text(message.role)}</b><pre style="{_PRE}">{_text(message.content)}</pre></div>'
        for message in prompt.messages
    ]
    rows = [(s.name, f"{s.tokens:,}", s.state + (f": {s.why}" if s.why else ""), s.source) for s in receipt.sections]
    free = receipt.window - receipt.tokens - receipt.answer_tokens
    rows += [
        ("prompt", f"{receipt.tokens:,}", "", ""),
        ("for the reply", f"{receipt.answer_tokens:,}", "", ""),
        ("unused", f"{free:,}", f"of a window of {receipt.window:,}", ""),
    ]
    parts.append(_table(("section", "tokens", "state", "source"), rows))
    return _whole(parts)


def report_html(report: Any) -> str:
    """Return a coverage report: indexed content, and missing or guessed content with the reasons.

    Args:
        report: a ``ragkit.indexing.AddReport``.
    """
    counted = (
        *((name, getattr(report, name)) for name in ("added", "replaced", "removed", "unchanged", "duplicates")),
        *((name, getattr(report, name)) for name in ("chunks", "embedded", "characters", "tokens")),
    )
    whole = "Nothing of the documents is missing." if report.complete else "Something of the documents is missing."
    facts = " · ".join(f"{value:,} {name}" for name, value in counted if value)
    seconds = " · ".join(f"{stage} {taken:.1f} s" for stage, taken in report.seconds.items())
    parts = [f"<b>{whole}</b>", f"<div>{_text(facts)}</div>", f'<div style="{_SOFT}">{_text(seconds)}</div>']
    if report.skipped:
        left = " · ".join(f"{reason}: {count:,}" for reason, count in report.skipped.items())
        parts.append(f'<div style="{_SOFT}">{_text(f"Left out of the folders: {left}")}</div>')
    rows = [
        (issue.origin, "" if issue.page is None else str(issue.page), issue.kind, issue.detail, issue.hint)
        for issue in report.issues
    ]
    if rows:
        parts.append(_table(("file", "page", "what", "detail", "how to fix it"), rows))
    return _whole(parts)


def _said(answer: Any) -> str:
    """Return the answer's text; unsupported sentences are underlined, numbers of citations are raised."""
    out: list[str] = []
    at = 0
    for start, end in sorted(answer.unsupported):
        out.append(_numbered(answer.text[at:start]))
        why = "a source contradicts this" if (start, end) in answer.contradicted else "no source supports this"
        out.append(f'<span style="{_UNSUPPORTED}" title="{why}">{_numbered(answer.text[start:end])}</span>')
        at = max(at, end)
    out.append(_numbered(answer.text[at:]))
    style = f"{_PRE};font-size:1.08em;margin:.35em 0" + (";opacity:.72" if answer.abstained else "")
    return f'<div style="{style}">{"".join(out)}</div>'


def _numbered(text: str) -> str:
    return _CITED.sub(lambda found: f"<sup>[{found[1]}]</sup>", _text(text))


def _citation(citation: Any) -> str:
    place = _place(citation.title, unit_name(citation.page, citation.label), citation.heading_path)
    return (
        f'<div style="{_BOX}"><b>[{int(citation.number)}]</b> {place}<div style="{_PRE}">'
        f'<span style="opacity:.72">{_text(citation.before)}</span><mark style="{_MARK}">{_text(citation.quote)}</mark>'
        f'<span style="opacity:.72">{_text(citation.after)}</span></div></div>'
    )


def unit_name(page: int | None, label: str = "") -> str:
    """Return the displayed name of a page, slide or other unit: its label, or ``page 4``; empty if there is no unit."""
    return label or ("" if page is None else f"page {page}")


def _place(title: str, unit: str, headings: Sequence[str]) -> str:
    """Return a location: the document, its page, and the headings above."""
    parts = [f"<b>{_text(title)}</b>"]
    if unit:
        parts.append(_text(unit))
    path = " › ".join(heading for heading in headings if heading != title)
    return ", ".join([*parts, *([_text(path)] if path else [])])


def _made(trace: Any) -> list[str]:
    """Return what an answer took, in words."""
    facts = [trace.model] if trace.model else []
    usage = trace.usage
    if usage.prompt_tokens or usage.completion_tokens:
        facts.append(f"{usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens")
    if usage.cost:
        facts.append(f"${usage.cost:.4f}")
    if trace.seconds:
        facts.append(f"{sum(trace.seconds.values()):.1f} s")
    return facts


def _passage(text: str) -> str:
    """Return a passage, the end of a long one folded away."""
    if len(text) <= _QUOTE:
        return f'<pre style="{_PRE}">{_text(text)}</pre>'
    return f'<pre style="{_PRE}">{_text(text[:_QUOTE])}…</pre>' + _folded(
        "all of it", f'<pre style="{_PRE}">{_text(text)}</pre>'
    )


def _table(names: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col" style="{_CELL};{_SOFT}">{_text(name)}</th>' for name in names)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{_text(cell)}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f'<table style="{_TABLE}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _folded(title: str, content: str) -> str:
    return f'<details><summary style="cursor:pointer;{_SOFT}">{_text(title)}</summary>{content}</details>'


def _whole(parts: Iterable[str]) -> str:
    return f'<div style="max-width:52em;line-height:1.45">{"".join(parts)}</div>'


def _text(text: object) -> str:
    return escape(_UNSEEN.sub("", str(text)))

r"""Formulas in Markdown: LaTeX between ``$``, ``$$``, ``\(`` or ``\[``, kept unchanged, so that the page draws them.

Without this, Markdown takes ``\(`` for an escaped bracket, and ``_`` and ``*`` in a formula for emphasis.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

_CLOSING = {"$$": "$$", r"\[": r"\]", r"\(": r"\)", "$": "$"}
_DISPLAYED = ("$$", r"\[")
_SIGNS = re.compile(r"[\\^_={}<>]")
_WORDS = re.compile(r"[^\W\d_]{2,}")
_NUMBERS = re.compile(r"[\d\s,;]*")
"""Numbers in escaped brackets are brackets."""
_LONGEST = 5000


def add_formulas(markdown: MarkdownIt) -> None:
    """Add formulas to a parser; each becomes ``<span class="formula">``, a displayed one ``formula display``."""
    markdown.inline.ruler.before("escape", "formula", _inline)
    markdown.block.ruler.before("fence", "formula", _block, {"alt": ["paragraph", "blockquote", "list"]})
    markdown.add_render_rule("formula", _render)


def _inline(state: StateInline, silent: bool) -> bool:
    opening = next((sign for sign in _CLOSING if state.src.startswith(sign, state.pos)), None)
    if opening is None:
        return False
    start = state.pos + len(opening)
    end = state.src.find(_CLOSING[opening], start, start + _LONGEST)
    text = state.src[start:end] if end > 0 else ""
    around = state.src[max(0, state.pos - 1) : state.pos] + state.src[end + len(opening) : end + len(opening) + 1]
    if _NUMBERS.fullmatch(text) or (opening == "$" and not _is_formula(text, around)):
        return False
    if not silent:
        _push(state, text, opening)
    state.pos = end + len(opening)
    return True


def _is_formula(text: str, around: str) -> bool:
    """Return whether the text between two dollar signs is a formula and not the text between two prices.

    Args:
        text: between them.
        around: the characters before and after them.
    """
    if text[0].isspace() or text[-1].isspace() or "\n" in text or any(map(str.isdecimal, around)):
        return False
    return bool(_SIGNS.search(text)) or not _WORDS.search(text)


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    r"""Take lines from one that begins with ``$$`` or ``\[`` to the one that ends with its counterpart."""
    if state.is_code_block(first):
        return False
    start = state.bMarks[first] + state.tShift[first]
    opening = state.src[start : start + 2]
    if opening not in _DISPLAYED:
        return False
    for line in range(first, last):
        content = state.getLines(first, line + 1, state.blkIndent, keepLastLF=False).strip()[2:]
        if len(content) > _LONGEST:
            return False
        if _CLOSING[opening] in content:
            break
    else:
        return False
    text = content.rstrip().removesuffix(_CLOSING[opening])
    if _NUMBERS.fullmatch(text) or _CLOSING[opening] in text or text == content.rstrip():
        # Nothing is in it, or more follows on the line: it is a formula of a paragraph, if any.
        return False
    if not silent:
        state.push("paragraph_open", "p", 1).map = [first, line + 1]
        _push(state, text, opening)
        state.push("paragraph_close", "p", -1)
    state.line = line + 1
    return True


def _push(state: StateInline | StateBlock, text: str, opening: str) -> None:
    token = state.push("formula", "span", 0)
    token.content, token.markup = text.strip(), opening


def _render(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    from markdown_it.common.utils import escapeHtml

    token = tokens[index]
    kind = "formula display" if token.markup in _DISPLAYED else "formula"
    return f'<span class="{kind}">{escapeHtml(token.content)}</span>'

"""Renders the text of a model as HTML that is safe in a page: nothing runs, and nothing is fetched without a click.

Markdown is read with HTML, pictures, reference definitions and bare addresses switched off; the result passes a
sanitiser with a short list of tags. Citations become buttons on the way, as tokens and never by a search over HTML, so
that code, attributes and links cannot be taken for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from ragkit.display import unit_name
from ragkit.errors import MissingExtraError
from ragkit.records import Citation
from ragkit.serving.formulas import add_formulas
from ragkit.serving.names import harmless

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

_TAGS = {
    *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "button", "span"),
    *("h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {
    # Else the sanitiser keeps `title` and `lang` everywhere.
    "*": set(),
    "a": {"href"},
    "button": {"type", "class", "data-number", "aria-label"},
    "ol": {"start"},
}
_VALUES = {"span": {"class": {"formula", "formula display"}}}
_SCHEMES = {"http", "https"}
_LONGEST_NUMBER = 6


def to_html(text: str, citations: Sequence[Citation] = ()) -> str:
    """Return Markdown as HTML without scripts, styles, pictures or other resources that load.

    ``[n]`` of a known citation becomes ``<button type="button" class="citation" data-number="n" aria-label="Source n:
    TITLE, page P">n</button>``; any other stays text. Formulas become spans, see ``ragkit.serving.formulas``. Links
    lead to http and https only, open beside the page, and show their address if their text is different.

    Args:
        text: untrusted Markdown from a model or a document.
        citations: citations of the answer.

    Raises:
        MissingExtraError: if markdown-it-py or nh3 is not installed.
    """
    try:
        import nh3
    except ImportError as error:
        raise MissingExtraError("nh3", "serve", "to show answers on the page") from error
    by_number = {str(citation.number): citation for citation in citations}
    html = _markdown().render(harmless(text), {"citations": by_number})
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        tag_attribute_values=_VALUES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


@cache
def _markdown() -> MarkdownIt:
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise MissingExtraError("markdown-it-py", "serve", "to show answers on the page") from error
    markdown = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    # A reference definition would make a link of every [1]; a picture would be fetched.
    markdown.disable(["reference", "image", "html_block", "html_inline"])
    markdown.validateLink = _leads_out  # type: ignore[assignment, method-assign]
    markdown.inline.ruler.before("link", "citation", _citation)
    markdown.core.ruler.push("page", _fit_page)
    add_formulas(markdown)
    markdown.add_render_rule("citation", _button)
    return markdown


def _leads_out(address: str) -> bool:
    return address.lower().startswith(("http://", "https://"))


def _citation(state: StateInline, silent: bool) -> bool:
    """Take ``[n]`` for a citation if there is one of this number; within a link it stays text."""
    if state.src[state.pos] != "[" or state.linkLevel:
        return False
    end = state.src.find("]", state.pos, state.pos + _LONGEST_NUMBER + 2)
    number = state.src[state.pos + 1 : end] if end > 0 else ""
    if number not in state.env["citations"]:
        return False
    if not silent:
        state.push("citation", "button", 0).content = number
    state.pos = end + 1
    return True


def _button(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    from markdown_it.common.utils import escapeHtml

    number = tokens[index].content
    citations: Mapping[str, Citation] = env["citations"]
    label = escapeHtml(source_label(citations[number]))
    return f'<button type="button" class="citation" data-number="{number}" aria-label="{label}">{number}</button>'


def source_label(citation: Citation) -> str:
    """Return what a screen reader says for a citation: its number, the document's title and the page."""
    unit = unit_name(citation.page, citation.label)
    page = f", {' '.join(harmless(unit).split())}" if unit else ""
    return f"Source {citation.number}: {' '.join(harmless(citation.title).split())}{page}"


def _fit_page(state: Any) -> None:
    """Put headings below those of the page, and behind each link the address that it leads to."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
        elif token.type == "inline":
            token.children = _addresses_shown(token.children)


def _addresses_shown(tokens: list[Token]) -> list[Token]:
    from markdown_it.token import Token

    shown: list[Token] = []
    address, words = "", ""
    for token in tokens:
        shown.append(token)
        if token.type == "link_open":
            address, words = harmless(str(token.attrGet("href"))), ""
        elif token.type == "link_close" and words.strip() != address:
            shown.append(Token("text", "", 0, content=f" ({address})"))
        else:
            words += token.content
    return shown

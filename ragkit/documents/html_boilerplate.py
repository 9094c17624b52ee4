"""Detects elements that are certainly navigation: bars of links, and permalink signs beside headings."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import islice
from typing import Any

_NAVIGATION_CLASSES = {"navheader", "navfooter", "nav-panel", "mw-editsection", "skip-link", "skiplink"}
"""CSS classes of navigation blocks in pages made by DocBook, Texinfo, MediaWiki and others."""
_RELATIONS = {"next", "prev", "previous", "up", "contents", "index", "start", "home"}
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_LINK_SIGNS = {"¶", "#", "§", "🔗", "\uf0c1", "\U0001f517\ufe0e"}
_OUTSIDE = 0.2
"""Share of a navigation's letters that may be outside its links, such as the word "Navigation"."""
_FEW = 16
"""Letters outside the links that are always allowed, such as the words "Next", "Previous" and "Up"."""
_BAR_DEPTH = 4
"""Blocks around such a link that may be the bar."""
_BAR = 400
"""Characters up to which a block with links to the next and the last page is a bar."""


def navigation(tree: Any) -> list[Any]:
    """Return the outermost elements of a page that contain nothing but links to elsewhere."""
    from lxml import etree

    found: dict[Any, None] = {}
    # Without XPath, which sorts the nodes that it finds in time that grows with the square of their number.
    for node in tree.iter(etree.Element):
        if _may_be_navigation(node) and not _is_in(node, found) and _is_navigation(node):
            found[node] = None
    bars: dict[Any, None] = {}
    for link in tree.iter("a"):
        if link.get("rel"):
            bars |= dict.fromkeys(islice(link.iterancestors("div", "p", "table", "span"), _BAR_DEPTH))
    for bar in [bar for bar in bars if _is_page_bar(bar)]:
        found[bar] = None
    return [node for node in found if not _is_in(node, found)]


def _may_be_navigation(node: Any) -> bool:
    return node.tag in ("nav", "footer") or bool(node.get("role") or node.get("class"))


def _is_navigation(node: Any) -> bool:
    if _NAVIGATION_CLASSES.intersection((node.get("class") or "").split()):
        return True
    if node.tag == "nav" or node.get("role") == "navigation":
        return _only_links(node, _OUTSIDE)
    return node.tag == "footer" and _only_links(node, 0.0, few=0)


def _is_in(node: Any, found: Collection[Any]) -> bool:
    return bool(found) and any(above in found for above in node.iterancestors())


def is_heading_link(node: Any) -> bool:
    """Return whether a link is the sign beside a heading that links to it, such as a pilcrow."""
    return (node.get("href") or "").startswith("#") and "".join(node.itertext()).strip() in _LINK_SIGNS


def _is_page_bar(node: Any) -> bool:
    """Return whether a block contains little but links to the next or previous page."""
    if len(_letters(node)) > _BAR or next(node.iter(*HEADINGS), None) is not None:
        return False
    links = [a for a in node.iter("a") if _RELATIONS.intersection((a.get("rel") or "").lower().split())]
    return len(links) >= 2 and _only_links(node, 0.4)


def _only_links(node: Any, share: float, few: int = _FEW) -> bool:
    total = len(_letters(node))
    linked = sum(len(_letters(link)) for link in node.iter("a", "button") if not _inside(link, ("a", "button"), node))
    return linked > 0 and total - linked <= max(share * total, few)


def _inside(node: Any, names: tuple[str, ...], top: Any) -> bool:
    for above in node.iterancestors():
        if above is top:
            return False
        if above.tag in names:
            return True
    return False


def _letters(node: Any) -> str:
    pieces = []
    for child in node.iter():
        if child.tag not in ("script", "style") and isinstance(child.tag, str):
            pieces.append(child.text or "")
        if child is not node:
            pieces.append(child.tail or "")
    return re.sub(r"[\W_]+", "", "".join(pieces))

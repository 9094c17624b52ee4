"""Elements of a page that are surely navigation: bars of links, and the link signs beside headings."""

from __future__ import annotations

import re
from typing import Any

_NAVIGATION_CLASSES = {"navheader", "navfooter", "nav-panel", "mw-editsection", "skip-link", "skiplink"}
"""Of pages made by DocBook, Texinfo, MediaWiki and others."""
_RELATIONS = {"next", "prev", "previous", "up", "contents", "index", "start", "home"}
_LINK_SIGNS = {"¶", "#", "§", "🔗", "\uf0c1", "\U0001f517\ufe0e"}
_OUTSIDE = 0.2
"""Share of a navigation's letters that may be outside its links, such as the word "Navigation"."""
_FEW = 16
"""Letters outside the links that are always allowed, such as the words "Next", "Previous" and "Up"."""
_BAR = 400
"""Characters up to which a block with links to the next and the last page is a bar."""


def navigation(tree: Any) -> list[Any]:
    """Return the outermost elements of a page that hold nothing but links to elsewhere."""
    found: list[Any] = []
    for node in tree.xpath("//nav | //footer | //*[@role='navigation'] | //*[@class]"):
        classes = set((node.get("class") or "").split())
        if classes & _NAVIGATION_CLASSES:
            found.append(node)
        elif node.tag == "nav" or node.get("role") == "navigation":
            if _only_links(node, _OUTSIDE):
                found.append(node)
        elif node.tag == "footer" and _only_links(node, 0.0, few=0):
            found.append(node)
    for link in tree.xpath("//a[@rel or @accesskey]"):
        bar = _page_bar(link)
        if bar is not None:
            found.append(bar)
    known = set(found)
    return [node for node in dict.fromkeys(found) if not any(above in known for above in node.iterancestors())]


def is_heading_link(node: Any) -> bool:
    """Tell whether a link is the sign beside a heading that links to it, such as a pilcrow."""
    text = "".join(node.itertext()).strip()
    return text in _LINK_SIGNS and (node.get("href") or "").startswith("#")


def _page_bar(link: Any) -> Any:
    """Return the block around a link to the next or last page that holds little besides such links."""
    best = None
    node = link.getparent()
    for _ in range(6):
        if node is None or node.tag in ("body", "html", "main", "article", "section"):
            break
        text = _letters(node)
        if len(text) > _BAR or node.xpath(".//h1 | .//h2 | .//h3 | .//h4 | .//h5 | .//h6"):
            break
        links = [a for a in node.iter("a") if set((a.get("rel") or "").lower().split()) & _RELATIONS]
        if len(links) >= 2 and node.tag in ("div", "p", "table", "span") and _only_links(node, 0.4):
            best = node
        node = node.getparent()
    return best


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
    return re.sub(r"[\W_]+", "", "".join(node.xpath(".//text()[not(parent::script or parent::style)]")))

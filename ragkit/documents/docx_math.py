"""Formulas of a DOCX file (OMML) in one line: ``x^2``, ``(a + b)/c``, ``√(x)``, ``∑_(i=1)^n i``."""

from __future__ import annotations

import re
from typing import Any

from ragkit.documents.archives import local_name
from ragkit.documents.docx_package import child, is_on, value

_HIDDEN = frozenset(("del", "moveFrom", "Fallback", "delText", "instrText", "rPr"))
_INTEGRAL = "∫"
_NUMBER = re.compile(r"\d+([.,]\d+)?")


def linear(node: Any) -> str:
    """Return a formula, or any element below one, as a line of text."""
    name = local_name(node)
    if not name or name in _HIDDEN or name.endswith("Pr"):
        return ""
    if name == "t":
        return node.text or ""
    if name == "br":
        return " "
    write = _WRITERS.get(name)
    return write(node) if write else _children(node)


def _children(node: Any) -> str:
    line = ""
    for each in node:
        piece = linear(each)
        # The name of a function is apart from the factor before it.
        apart = local_name(each) == "func" and line[-1:].isalnum()
        line += f" {piece}" if apart else piece
    return line


def _part(node: Any, name: str) -> str:
    found = child(node, name)
    return "" if found is None else _children(found).strip()


def _grouped(text: str) -> str:
    """Return a term in brackets unless it is one letter or number, or has brackets."""
    if len(text) <= 1 or _NUMBER.fullmatch(text) or (text[0] == "(" and _closes_at(text) == len(text) - 1):
        return text
    return f"({text})"


def _closes_at(text: str) -> int:
    depth = 0
    for place, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0:
            return place
    return -1


def _property(node: Any, name: str, default: str) -> str:
    found = value(child(node, f"{local_name(node)}Pr"), name)
    return default if found is None else found


def _fraction(node: Any) -> str:
    above, below = _part(node, "num"), _part(node, "den")
    if _property(node, "type", "bar") == "noBar":
        # Such as a binomial coefficient, which has its brackets around it.
        return f"{above}; {below}"
    return f"{above if above.isalnum() else _grouped(above)}/{_grouped(below)}"


def _scripts(node: Any) -> str:
    below, above = _part(node, "sub"), _part(node, "sup")
    scripts = (f"_{_grouped(below)}" if below else "") + (f"^{_grouped(above)}" if above else "")
    base = _part(node, "e")
    return f"{scripts}{base}" if local_name(node) == "sPre" else f"{_grouped(base) if base else ''}{scripts}"


def _root(node: Any) -> str:
    degree = "" if is_on(child(node, "radPr"), "degHide") else _part(node, "deg")
    sign = {"3": "∛", "4": "∜"}.get(degree, f"√[{degree}]" if degree else "√")
    return f"{sign}({_part(node, 'e')})"


def _nary(node: Any) -> str:
    below, above = _part(node, "sub"), _part(node, "sup")
    scripts = (f"_{_grouped(below)}" if below else "") + (f"^{_grouped(above)}" if above else "")
    return f"{_property(node, 'chr', _INTEGRAL)}{scripts} {_part(node, 'e')}"


def _function(node: Any) -> str:
    argument = _part(node, "e")
    return f"{_part(node, 'fName')}{'' if argument.startswith('(') else ' '}{argument}"


def _delimited(node: Any) -> str:
    parts = [_children(each).strip() for each in node if local_name(each) == "e"]
    separator = _property(node, "sepChr", "|")
    glue = f"{separator} " if separator in (",", ";") else separator
    return f"{_property(node, 'begChr', '(')}{glue.join(parts)}{_property(node, 'endChr', ')')}"


def _matrix(node: Any) -> str:
    rows = [[_children(each).strip() for each in row if local_name(each) == "e"] for row in node.iterchildren("{*}mr")]
    return "; ".join(", ".join(row) for row in rows)


def _lines(node: Any) -> str:
    return "; ".join(filter(None, (_children(each).strip() for each in node if local_name(each) == "e")))


def _limit(node: Any) -> str:
    sign = "_" if local_name(node) == "limLow" else "^"
    return f"{_part(node, 'e')}{sign}{_grouped(_part(node, 'lim'))}"


def _accent(node: Any) -> str:
    base = _part(node, "e")
    mark = _property(node, "chr", "\u0302")
    return f"{base}{mark}" if len(base) == 1 else f"{_grouped(base)}{mark}"


def _paragraph(node: Any) -> str:
    """Return the formulas of a paragraph of formulas, a line each."""
    return "\n".join(filter(None, (linear(each).strip() for each in node)))


_WRITERS = {
    "f": _fraction,
    "sSup": _scripts,
    "sSub": _scripts,
    "sSubSup": _scripts,
    "sPre": _scripts,
    "rad": _root,
    "nary": _nary,
    "func": _function,
    "d": _delimited,
    "m": _matrix,
    "eqArr": _lines,
    "limLow": _limit,
    "limUpp": _limit,
    "acc": _accent,
    "oMathPara": _paragraph,
}

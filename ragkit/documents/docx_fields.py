"""Fields of a DOCX file: the text of their code, and the values of old form fields, which are not stored as text."""

from __future__ import annotations

from typing import Any

from ragkit.documents.archives import local_name
from ragkit.documents.docx_package import attribute, child, integer, is_on, value


def field_code(root: Any) -> set[Any]:
    """Return the text elements of a part that are within the code of a field, which nobody sees.

    Code is between a field's begin and its separator, or its end if it has no result. A field that never ends,
    as in a damaged file, hides nothing.
    """
    hidden: set[Any] = set()
    fields: list[list[Any] | None] = []
    """Texts in the code of each open field; None for one whose result has begun."""
    codes: list[list[Any]] = []
    for node in root.iter("{*}fldChar", "{*}t"):
        if local_name(node) == "t":
            if codes:
                codes[-1].append(node)
            continue
        kind = attribute(node, "fldCharType")
        if kind == "begin":
            code: list[Any] = []
            fields.append(code)
            codes.append(code)
        elif kind in ("separate", "end") and fields:
            if fields[-1] is not None:
                hidden.update(codes.pop())
            fields[-1] = None
            if kind == "end":
                fields.pop()
    return hidden


def form_value(node: Any) -> str:
    """Return what a check box or drop-down list shows; ``node`` is the begin of its field."""
    form = child(node, "ffData")
    box = child(form, "checkBox")
    if box is not None:
        state = "checked" if child(box, "checked") is not None else "default"
        return "☒" if is_on(box, state) else "☐"
    choices = child(form, "ddList")
    if choices is None:
        return ""
    entries = [attribute(each, "val") for each in choices if local_name(each) == "listEntry"]
    chosen = integer(value(choices, "result") or value(choices, "default"))
    return entries[chosen] if 0 <= chosen < len(entries) else ""

"""Answers in JSON: each text in them is checked against the sources; the JSON itself is not changed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragkit.answering.chat import Checked, ReplyChecker

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?')


def check_json(reply: str, checker: ReplyChecker) -> Checked:
    """Cite for each text in a JSON reply the sentence of a source that contains it or supports it.

    Args:
        reply: valid JSON.
        checker: checker of a reply, not used before.
    """
    checker.begin(reply)
    for match in _STRING.finditer(reply):
        value = json.loads(f'"{match.group(1)}"')
        if match.group(2) is None and value.strip():
            checker.add_value(value, *match.span(1))
    return checker.checked()

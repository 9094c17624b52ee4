"""Detects which parameter of a request an endpoint does not support, from its error.

Supported parameters differ between models: reasoning models reject ``temperature`` and ``stop``, some servers reject
``seed`` or ``stream_options``. Most respond with status 400 and name the parameter.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

STATUSES = (400, 422)
_REFUSED = re.compile(
    r"unsupported|not (?:be )?support|not permitted|not allowed|not available|unrecognized|unknown|unexpected|extra "
    r"(?:inputs?|fields?)|extra_forbidden|deprecated|only the default",
    re.IGNORECASE,
)
"""Phrases for an unsupported parameter, in contrast to a value out of range."""


def unsupported_parameter(body: Any, sent: Collection[str]) -> str | None:
    """Return the unsupported parameter of an error, or None if it has another cause.

    Args:
        body: body of the error, if it is JSON: in the format of OpenAI (``message``, ``param``, ``code``), Anthropic
            (``message``), or FastAPI (``detail`` with a ``loc`` for each field).
        sent: parameters that can be omitted from the request.
    """
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    for text, name in _complaints(body):
        if not _REFUSED.search(text):
            continue
        if name is not None:
            if name.partition(".")[0] in sent:
                return name.partition(".")[0]
            continue
        places = {field: place for field in sent if (place := _place(field, text)) is not None}
        if places:
            return min(places, key=places.__getitem__)
    return None


def _complaints(body: Any) -> Iterator[tuple[str, str | None]]:
    """Yield the messages of the body, each with its parameter if it is in a separate field."""
    if not isinstance(body, dict):
        yield str(body), None
        return
    details = body.get("detail")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(detail.get("loc"), list) and detail["loc"]:
            yield f"{detail.get('type')} {detail.get('msg')}", str(detail["loc"][-1])
    text = f"{body.get('code')} {body.get('message') or body.get('msg') or details}"
    parameter = body.get("param")
    yield text, parameter if isinstance(parameter, str) and parameter else None


def _place(name: str, text: str) -> int | None:
    """Return the position at which a text names a parameter: in quotes, or as a subject."""
    found = re.search(rf"[`'\"]{name}[`'\"]|\b{name}\b(?=\s*(?::|=|is\b|are\b|does\b|was\b|parameter\b))", text)
    if found is None:
        found = re.search(rf"(?::|\b(?:parameter|argument|property|field|key)s?)\s+{name}\b", text, re.IGNORECASE)
    return found and found.start()

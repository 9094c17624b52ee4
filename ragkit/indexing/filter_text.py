"""Filters as text: ``year >= 2020 and lang in ('en', 'de') and not draft``.

Operators: ``== = != < <= > >=``, ``in (…)``, ``and``, ``or``, ``not``, brackets; ``has field`` if a field exists; a
field alone is true if its value is ``true``. Values: 'text' or "text", numbers, true, false. Field names with spaces or
special characters are quoted with backticks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ragkit.errors import QueryError
from ragkit.indexing.filters import And, Compare, Exists, Field, Filter, In, Not, Operator, Or
from ragkit.records import MetadataValue

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.]))
  | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
  | (?P<quoted>`[^`]+`)
  | (?P<word>[^\W\d][\w.-]*)
  | (?P<operator>==|!=|<=|>=|=|<|>)
  | (?P<mark>[(),])
    )""",
    re.VERBOSE,
)
_DEEPEST = 50
_LONGEST = 100_000


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def parse_filter(text: str) -> Filter:
    """Parse a filter.

    Raises:
        QueryError: for a syntax error, with its position and what is expected.
    """
    return _Parser(text).whole()


class _Parser:
    """Recursive-descent parser; precedence from low to high: ``or``, ``and``, ``not``."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._next = 0
        self._depth = 0

    def _split(self) -> list[_Token]:
        if len(self._text) > _LONGEST:
            raise QueryError(f"A filter of {len(self._text)} characters is too long.", f"The limit is {_LONGEST}.")
        tokens: list[_Token] = []
        position, text = 0, self._text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                position += len(text[position:]) - len(text[position:].lstrip())
                raise self._error(position, "a field, a value or an operator (== != < <= > >= in)")
            kind = match.lastgroup or ""
            tokens.append(_Token(kind, match.group(kind), match.start(kind)))
            position = match.end()
        return tokens

    def _error(self, position: int, wanted: str) -> QueryError:
        shown = self._text if len(self._text) <= 200 else self._text[max(0, position - 80) : position + 80]
        return QueryError(
            f"The filter {shown!r} has a syntax error at character {position + 1}.",
            f"Expected {wanted}. Example: year >= 2020 and lang in ('en', 'de') and not draft",
        )

    def _peek(self) -> _Token:
        if self._next < len(self._tokens):
            return self._tokens[self._next]
        return _Token("end", "", len(self._text.rstrip()))

    def _take(self, *texts: str) -> bool:
        token = self._peek()
        if token.kind in ("word", "mark", "operator") and token.text.lower() in texts:
            self._next += 1
            return True
        return False

    def whole(self) -> Filter:
        found = self._either()
        if self._peek().kind != "end":
            raise self._error(self._peek().position, "and, or, or the end")
        return found

    def _either(self) -> Filter:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self) -> Filter:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self) -> Filter:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(self._peek().position, f"at most {_DEEPEST} levels of brackets and 'not'")
        try:
            if self._take("not"):
                return Not(self._one())
            if self._take("("):
                found = self._either()
                if not self._take(")"):
                    raise self._error(self._peek().position, "and, or, or a closing bracket")
                return found
            if self._take("has"):
                return Exists(self._field())
            return self._condition()
        finally:
            self._depth -= 1

    def _field(self) -> str:
        token = self._peek()
        if token.kind not in ("word", "quoted"):
            raise self._error(token.position, "a field name, 'not', 'has' or an opening bracket")
        self._next += 1
        return Field(token.text.strip("`")).name

    def _condition(self) -> Filter:
        field = self._field()
        token = self._peek()
        if self._take("in"):
            if not self._take("("):
                raise self._error(self._peek().position, "an opening bracket")
            values = [self._value()]
            while self._take(","):
                values.append(self._value())
            if not self._take(")"):
                raise self._error(self._peek().position, "a comma or a closing bracket")
            return In(field, tuple(values))
        if token.kind == "operator":
            self._next += 1
            operators: dict[str, Operator] = {
                "=": "==",
                "==": "==",
                "!=": "!=",
                "<": "<",
                "<=": "<=",
                ">": ">",
                ">=": ">=",
            }
            return Compare(field, operators[token.text], self._value())
        if token.kind == "end" or token.text.lower() in ("and", "or", ")"):
            return Compare(field, "==", True)
        raise self._error(token.position, "an operator (== != < <= > >= in), and, or, or the end")

    def _value(self) -> MetadataValue:
        token = self._peek()
        self._next += 1
        if token.kind == "text":
            return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
        if token.kind == "number":
            value: MetadataValue = int(token.text) if re.fullmatch(r"[-+]?\d+", token.text) else float(token.text)
            compared = Field("value") == value
            assert isinstance(compared, Compare)
            return compared.value
        if token.kind == "word" and token.text.lower() in ("true", "false"):
            return token.text.lower() == "true"
        raise self._error(token.position, "a value: 'text', a number, true or false")

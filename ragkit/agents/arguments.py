"""Arguments under a schema: each value is chosen or generated under a grammar, so that a call is valid in form.

The decoder writes the JSON of the arguments itself and asks the model only for the undecided parts: whether an optional
parameter is given, the elements of arrays, and the values. A string or number of the request is preferred to one that
the model invents: the model generates freely first, and if the result is not in the request, the most likely candidate
from the request replaces it unless the model's own is likelier by more than a margin.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragkit.agents.values import (
    count_stated,
    dates,
    is_mentioned,
    is_named,
    leaves,
    named_values,
    numbers,
    spans,
    unused,
    written,
)
from ragkit.errors import ModelOutputError
from ragkit.models import ConstrainedModel, GenerationOptions
from ragkit.records import Message

_CHAR = r"""char ::= [^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
first ::= [^"\\\x00-\x20,.;:!?)}]"""
_INTEGER = 'int ::= "-"? ("0" | [1-9] [0-9]{0,14})'
_FRACTION = 'num ::= int ("." [0-9]{1,12})?'
_MOST_RETRIES = 4
_ANY = r"""value ::= object | array | string | num | "true" | "false" | "null"
object ::= "{" (string ": " value (", " string ": " value)*)? "}"
array ::= "[" (value (", " value)*)? "]"
string ::= "\"" char* "\""
"""
_OPENINGS = {"string": '"', "object": "{", "array": "["}
_State = tuple[str, float, int, int]
"""Text, log-probability, decisions, and decided values so far."""


@dataclass(frozen=True, slots=True)
class ArgumentOptions:
    """Options of decoding arguments; the biases were chosen on a few of the even simple rows of BFCL."""

    request_bias: float = 4.0
    """Added to the log-probability of a value of the request when it is compared with a generated one."""
    number_bias: float = 10.0
    """The same for numbers, which a request states more often than a model computes them."""
    omit_bias: float = 0.0
    """Added to the log-probability of leaving an optional parameter out."""
    max_items: int = 16
    """Maximum elements of an array."""
    max_tokens: int = 96
    """Maximum tokens of a value."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """Decoded arguments."""

    values: tuple[dict[str, Any], ...]
    """Arguments of each call."""
    logprob: float
    """Sum of the natural log-probabilities of the decisions."""
    decisions: int
    tokens: int
    """Tokens generated or chosen."""


class ArgumentDecoder:
    """Decodes the arguments of one call.

    Args:
        model: local model.
        messages: prompt, whose reply is the arguments as JSON.
        request: text whose words and numbers are preferred.
        options: biases and limits.
    """

    def __init__(
        self, model: ConstrainedModel, messages: Sequence[Message], request: str, options: ArgumentOptions
    ) -> None:
        self._model = model
        self._messages = messages
        self._request = request
        self._options = options
        self._begun = ""
        self._logprob = 0.0
        self._decisions = 0
        self._tokens = 0
        # Beginning of the reply and text of values that were decided, and of those that must not be decided again.
        self._decided: list[tuple[float, str, str]] = []
        self._masked: set[tuple[str, str]] = set()

    def decode(self, schema: Mapping[str, Any], is_tried: Callable[[dict[str, Any]], bool] | None = None) -> Arguments:
        """Return the arguments of a call.

        Args:
            schema: schema without references.
            is_tried: returns whether arguments must not be returned. Of such arguments, the least certain value is
                replaced by the next likeliest, up to four times.

        Raises:
            ModelOutputError: if a value does not end within ``max_tokens``, or there are no other arguments.
            PromptOverflowError: if the prompt and the arguments do not fit the window.
        """
        for _ in range(_MOST_RETRIES + 1):
            self._begun, self._logprob, self._decisions, self._decided = "", 0.0, 0, []
            values = self._object(schema, "")
            if is_tried is None or not is_tried(values):
                return Arguments((values,), self._logprob, self._decisions, self._tokens)
            if not self._decided:
                break
            _, begun, text = min(self._decided)
            self._masked.add((begun, text))
        raise ModelOutputError("There are no other arguments.", "Choose another tool.")

    def decode_several(self, schema: Mapping[str, Any], most: int) -> Arguments:
        """Return the arguments of up to ``most`` calls; the errors are those of ``decode``."""
        self._begun, self._logprob, self._decisions, self._decided = "", 0.0, 0, []
        values = self._array({"type": "array", "items": schema, "minItems": 1, "maxItems": most}, "")
        return Arguments(tuple(values), self._logprob, self._decisions, self._tokens)

    def _value(self, schema: Mapping[str, Any], lead: str, end: str) -> Any:
        """Decode a value and append it to the reply.

        Args:
            schema: schema of the value.
            lead: space before the value; tokenizers join it with the beginning of the value.
            end: character after the value, by which the end of a number is known.
        """
        if "const" in schema:
            return self._fixed([schema["const"]], lead, end)
        if "enum" in schema:
            return self._fixed(schema["enum"], lead, end)
        kind = schema.get("type")
        branches = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(kind, list):
            branches = [{**schema, "type": name} for name in kind]
        if branches:
            return self._branch([branch for branch in branches if branch.get("type") != "null"] or branches, lead, end)
        if kind == "object" and schema.get("properties"):
            return self._object(schema, lead)
        if kind == "array":
            return self._array(schema, lead)
        if kind == "boolean":
            return self._fixed([True, False], lead, end)
        if kind == "null":
            return self._fixed([None], lead, end)
        if kind in ("integer", "number"):
            return self._number(schema, lead, end)
        if kind == "string":
            return self._string(schema, lead)
        rule = "object" if kind == "object" else "value"
        return self._free(f'root ::= "{lead}" {rule}\n{_ANY}{_FRACTION}\n{_INTEGER}\n{_CHAR}')

    def _object(self, schema: Mapping[str, Any], lead: str) -> dict[str, Any]:
        self._append(lead + "{")
        values: dict[str, Any] = {}
        required = set(schema.get("required", ()))
        # Required values first: an optional parameter gets only what they leave of the request.
        properties = sorted(schema["properties"].items(), key=lambda item: item[0] not in required)
        for number, (name, about) in enumerate(properties):
            comma = ", " if values else ""
            key = f"{comma}{written(name)}:"
            end = "}" if number == len(properties) - 1 else ","
            if name in required:
                self._append(key)
                values[name] = self._value(about, " ", end)
                continue
            before = self._state()
            named = is_named(name, about, self._request)
            if not named and about.get("type") in ("integer", "number") and not is_mentioned(name, self._request):
                continue
            if not named and self._choose([key, "}"], [0.0, self._options.omit_bias]) == 1:
                continue
            self._append(key)
            try:
                value = self._value(about, " ", end)
            except ModelOutputError:
                self._restore(before)
                continue
            if self._is_left(value, values):
                values[name] = value
            else:
                self._restore(before)
        self._append("}")
        return values

    def _is_left(self, value: Any, values: Mapping[str, Any]) -> bool:
        """Return whether the request has all strings and numbers of a value, beside those that are used already."""
        used = list(leaves(dict(values)))
        for leaf, count in Counter(leaves(value)).items():
            # "Brady" is used by "Tom Brady".
            before = sum(
                count_stated(leaf, other) > 0 if isinstance(leaf, str) and isinstance(other, str) else leaf == other
                for other in used
            )
            if count + before > count_stated(leaf, self._request):
                return False
        return True

    def _array(self, schema: Mapping[str, Any], lead: str) -> list[Any]:
        self._append(lead + "[")
        items: list[Any] = []
        about = schema.get("items") or {}
        opening = _OPENINGS.get(str(about.get("type")), "")
        least, most = schema.get("minItems", 0), min(schema.get("maxItems", 10**6), self._options.max_items)
        while len(items) < most:
            # Numbers or names of the request that no element has speak for another one.
            bias = self._options.request_bias if opening == "{" and unused(items, self._request) else 0.0
            if items and len(items) >= least and self._ends(opening, bias):
                break
            before = self._state()
            item, repeated = self._item(about, items, before)
            # A small model repeats elements; the request does not.
            for _ in range(_MOST_RETRIES if bias and repeated else 0):
                decided = self._decided[before[3] :]
                if not decided or not repeated:
                    break
                _, begun, text = min(decided)
                self._masked.add((begun, text))
                self._restore(before)
                item, repeated = self._item(about, items, before)
            if repeated and len(items) >= least:
                self._restore(before)
                break
            items.append(item)
        self._append("]")
        return items

    def _ends(self, opening: str, bias: float) -> bool:
        """Return whether an array ends after its last element; ``bias`` speaks for another one."""
        # Tokenizers join the last character of an element with what follows it.
        whole, last = self._begun, self._begun[-1]
        self._begun = whole[:-1]
        number = self._choose([f"{last}, {opening}", f"{last}]"], [bias, 0.0])
        self._begun = whole
        return number == 1

    def _item(self, schema: Mapping[str, Any], items: Sequence[Any], before: _State) -> tuple[Any, bool]:
        """Decode an element, and return it and whether it occurs more often than in the request."""
        if items:
            self._append(",")
        try:
            item = self._value(schema, " " if items else "", ",")
        except ModelOutputError:
            if not items:
                raise
            self._restore(before)
            return None, True
        return item, items.count(item) >= max(1, count_stated(item, self._request))

    def _branch(self, branches: Sequence[Mapping[str, Any]], lead: str, end: str) -> Any:
        """Decode each alternative and keep the one with the highest probability per decision."""
        before = self._state()
        best: tuple[float, Any, Any] | None = None
        for branch in branches[:4]:
            self._restore(before)
            value = self._value(branch, lead, end)
            mean = (self._logprob - before[1]) / max(1, self._decisions - before[2])
            if best is None or mean > best[0]:
                best = (mean, value, self._state())
        assert best is not None
        self._restore(best[2])
        return best[1]

    def _fixed(self, values: Sequence[Any], lead: str, end: str) -> Any:
        by_text = {lead + written(value): value for value in values}
        texts = [text for text in by_text if (self._begun, text) not in self._masked]
        if not texts:
            raise ModelOutputError("There are no other values.", "Choose another tool.")
        number, logprob = 0, 0.0
        if len(by_text) > 1:
            before = self._logprob
            stated = [bool(count_stated(by_text[text], self._request)) for text in texts]
            biases = [self._options.request_bias if known else 0.0 for known in stated]
            number = self._choose([text + end for text in texts], biases)
            logprob = self._logprob - before
            self._decided.append((logprob, self._begun, texts[number]))
        self._append(texts[number])
        return by_text[texts[number]]

    def _number(self, schema: Mapping[str, Any], lead: str, end: str) -> float | int:
        whole = schema.get("type") == "integer"
        rules = _INTEGER if whole else f"{_FRACTION}\n{_INTEGER}"
        known = [value for value in numbers(self._request) if not whole or value == int(value)]
        if isinstance(schema.get("default"), int | float):
            known.append(schema["default"])
        grammar = f'root ::= "{lead}" {"int" if whole else "num"} "{end}"\n{rules}'
        value: float | int = self._free(
            grammar, [f"{lead}{written(number)}{end}" for number in known], end, self._options.number_bias
        )
        return value

    def _string(self, schema: Mapping[str, Any], lead: str) -> str:
        known = [*spans(self._request), *named_values(schema), *dates(self._request, schema)]
        grammar = f'root ::= "{lead}\\"" first char* "\\""\n{_CHAR}'
        value: str = self._free(grammar, [lead + written(text) for text in known])
        return value

    def _free(self, grammar: str, known: Sequence[str] = (), end: str = "", bias: float | None = None) -> Any:
        """Generate a value; replace it by a candidate from the request if that is nearly as probable."""
        parts, logprob, finish, tokens = [], 0.0, "", 0
        options = GenerationOptions(max_tokens=self._options.max_tokens, logprobs=True, grammar=grammar)
        for delta in self._model.continue_reply(self._messages, self._begun, options):
            parts.append(delta.text)
            logprob += delta.logprob or 0.0
            tokens += delta.logprob is not None
            finish = delta.finish or finish
        text = "".join(parts)
        known = [other for other in dict.fromkeys(known) if (self._begun, other) not in self._masked]
        masked = (self._begun, text) in self._masked
        if masked and not known:
            raise ModelOutputError("There are no other values.", "Choose another tool.")
        if known and text not in known:
            choice = self._model.choose_next(self._messages, self._begun, known)
            if (
                masked
                or finish == "length"
                or choice.logprob + (self._options.request_bias if bias is None else bias) >= logprob
            ):
                text, logprob, finish, tokens = known[choice.number], choice.logprob, "stop", tokens + 1
        if finish == "length":
            raise ModelOutputError(
                f"The value {text[:60]!r} does not end within {self._options.max_tokens} tokens.",
                "Increase max_tokens, or use a larger model.",
            )
        self._logprob += logprob
        self._decisions += 1
        self._tokens += tokens
        self._decided.append((logprob, self._begun, text))
        text = text.removesuffix(end) if end else text
        self._append(text)
        return json.loads(text)

    def _choose(self, pieces: Sequence[str], biases: Sequence[float] = ()) -> int:
        """Return the number of the likeliest piece; nothing is appended."""
        unique = list(dict.fromkeys(pieces))
        choice = self._model.choose_next(self._messages, self._begun, unique, biases)
        self._logprob += choice.logprob
        self._decisions += 1
        self._tokens += choice.usage.completion_tokens
        return pieces.index(unique[choice.number])

    def _append(self, text: str) -> None:
        self._begun += text

    def _state(self) -> _State:
        return self._begun, self._logprob, self._decisions, len(self._decided)

    def _restore(self, state: _State) -> None:
        self._begun, self._logprob, self._decisions, decided = state
        del self._decided[decided:]

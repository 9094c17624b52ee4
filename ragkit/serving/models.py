"""The language models of a server: each is opened once and has a queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ragkit.errors import SettingsError
from ragkit.models import ChatModel
from ragkit.models.opening import best_installed, is_remote
from ragkit.serving.failures import RequestError
from ragkit.serving.turns import Line

NONE = "none"
Kind = Literal["local", "api", "none"]
_AT_ONCE: dict[Kind, int] = {"local": 1, "api": 8, "none": 4}
"""Number of concurrent requests per model. A model on this machine answers as many questions together as it has lanes:
one more would have to evaluate its complete prompt again for every token."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """An available model."""

    name: str
    kind: Kind
    default: bool


class Models:
    """The available models. A name in a request never opens a file or an address.

    Args:
        offered: models, or names for ``open_model``; the first is the default. ``auto`` is the best installed model,
            ``none`` no model.
        others: names of the other available models.
        opener: opens a model by name.
        idle: seconds without use after which ``drop_idle`` closes a model that was opened here; 0 for never.
        clock: monotonic clock, in seconds.
    """

    def __init__(
        self,
        offered: Sequence[ChatModel | str],
        others: Sequence[str],
        opener: Callable[[str], ChatModel],
        idle: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opener = opener
        self._idle = idle
        self._clock = clock
        self._open: dict[str, ChatModel] = {}
        self._used: dict[str, float] = {}
        """Time of the last use of each model that was opened here."""
        names: list[str] = []
        for model in offered:
            if isinstance(model, str):
                names.append((best_installed() or NONE) if model == "auto" else model)
            else:
                names.append(model.name)
                self._open[model.name] = model
        if len(set(names)) < len(names):
            raise SettingsError("Duplicate model.", "Specify each model once.")
        given = set(self._open)
        self.choices: dict[str, ModelChoice] = {}
        for name in dict.fromkeys([*names, *others, NONE]):
            kind: Kind = "none" if name == NONE else "api" if name not in given and is_remote(name) else "local"
            self.choices[name] = ModelChoice(name, kind, default=not self.choices)
        self._opening = {name: threading.Lock() for name in self.choices}
        self._lines = {name: Line(_AT_ONCE[choice.kind]) for name, choice in self.choices.items()}

    @property
    def default(self) -> str:
        """The name of the model that answers if none is chosen."""
        return next(iter(self.choices))

    def name(self, wanted: str | None) -> str:
        """Return the name of the requested model.

        Raises:
            RequestError: 404 if the model is not available.
        """
        name = wanted or self.default
        if name not in self.choices:
            raise RequestError(
                "Unknown model.",
                "List them with GET /api/models.",
                status=404,
                code="model_not_found",
            )
        return name

    def line(self, name: str) -> Line:
        """Return the line before a model."""
        return self._lines[name]

    def lines(self) -> dict[str, Line]:
        """Return every model's line by its name."""
        return dict(self._lines)

    def open(self, name: str) -> ChatModel | None:
        """Return a model, loaded on first use; None for ``none``. It may take seconds: call it in a thread.

        Raises:
            ModelError: if it fails to load.
            MissingExtraError: if a required package is not installed.
        """
        if name == NONE:
            return None
        with self._opening[name]:
            if name not in self._open:
                self._open[name] = self._opener(name)
                self._used[name] = 0.0
            if name in self._used:
                self._used[name] = self._clock()
            model = self._open[name]
            if self.choices[name].kind == "local":
                self._lines[name].at_once = getattr(model, "parallel", _AT_ONCE["local"])
            return model

    def drop_idle(self) -> None:
        """Close the models that nobody has used for a while and nobody waits for."""
        for name in list(self._used) if self._idle else []:
            line = self._lines[name]
            # Whoever opens a model has their turn before, and until they no longer use it.
            with self._opening[name]:
                if line.running or line.waiting:
                    self._used[name] = self._clock()
                elif self._clock() - self._used[name] > self._idle:
                    del self._used[name]
                    close = getattr(self._open.pop(name), "close", None)
                    if close is not None:
                        close()

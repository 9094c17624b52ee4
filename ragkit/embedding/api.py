"""Embedding models behind an endpoint that speaks OpenAI's protocol: hosted, or a server of one's own."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit._keys import checked_key, find_key
from ragkit._providers import PROVIDERS
from ragkit.embedding.base import TextKind, Vectors
from ragkit.embedding.families import family
from ragkit.embedding.windows import fit, gather, unit
from ragkit.errors import (
    EmbeddingError,
    MissingExtraError,
    ModelAuthenticationError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
    SettingsError,
)

WINDOWS = {"text-embedding-3-small": 8191, "text-embedding-3-large": 8191, "text-embedding-ada-002": 8191}
"""Tokens that hosted models read."""
UNKNOWN_WINDOW = 512
_BATCH = 64
_TOKEN_CHARACTERS = 2
"""Characters counted as one token. Real tokenizers read two or more of a word, and one of Chinese."""
_PIECE = re.compile(rf"[^\W\d_]{{1,{_TOKEN_CHARACTERS}}}|\d{{1,{_TOKEN_CHARACTERS}}}|[^\s]")


class ApproximateTokenizer:
    """Counts at least as many tokens as a model's own tokenizer, which an endpoint does not give."""

    specials = 2
    splits_on_whitespace = True

    def offsets(self, text: str) -> NDArray[np.int64]:
        """Return the character span of each approximate token: int64 ``[tokens, 2]``."""
        spans = [span for match in _PIECE.finditer(text) for span in _split(match)]
        return np.array(spans, dtype=np.int64).reshape(-1, 2)

    def count(self, text: str) -> int:
        """Return the number of approximate tokens of ``text``."""
        return len(self.offsets(text))


class ApiEmbedder:
    """Embeds by an endpoint that speaks OpenAI's ``/embeddings``.

    Args:
        name: ``PROVIDER:MODEL`` or ``PROVIDER:MODEL@BASE_URL``, such as ``openai:text-embedding-3-small``,
            ``ollama:nomic-embed-text`` or ``openai:bge-m3@http://localhost:8000/v1``. An index keeps it.
        api_key: API key; by default the provider's, from the environment or the keyring; it goes to the provider's own
            address only, or to one whose key is in ``RAGKIT_EMBEDDING_API_KEY``.
        timeout: seconds for a request.
        max_retries: further attempts after temporary errors.

    Raises:
        MissingExtraError: if openai is not installed.
        SettingsError: if the name has another form or the provider has no embedding models.
        ModelAuthenticationError: if the provider needs a key and there is none.
    """

    def __init__(self, name: str, api_key: str | None = None, timeout: float = 60.0, max_retries: int = 3) -> None:
        try:
            import openai
        except ImportError as error:
            raise MissingExtraError("openai", "api", "to call an endpoint") from error
        prefix, model, base_url = _parse(name)
        provider = PROVIDERS[prefix]
        self.model_id = f"{prefix}:{model}"
        self.runtime = f"endpoint ({provider.title if base_url is None else base_url})"
        self.location = name
        self.window = WINDOWS.get(model, UNKNOWN_WINDOW)
        self.tokenizer = ApproximateTokenizer()
        self._model = model
        self._prompts = family(model).prompts
        self._sdk = openai
        self._dimension: int | None = None
        self._lock = threading.Lock()
        key = api_key or _key(provider.key_variable if base_url is None else None, name)
        self._secret = checked_key(key or "")
        omitted = [] if self._secret else ["Authorization"]
        if base_url is not None or provider.local:  # whose account it is concerns nobody else
            omitted += ["OpenAI-Organization", "OpenAI-Project"]
        self._unsent: Any = {header: openai.Omit() for header in omitted}
        # The client's own retries are for connections and status codes alone; nothing is streamed here.
        self._client = openai.OpenAI(
            base_url=base_url or provider.base_url,
            api_key=self._secret or "none",
            timeout=timeout,
            max_retries=max_retries,
            http_client=openai.DefaultHttpxClient(follow_redirects=False),
        )

    @property
    def dimension(self) -> int:
        """Length of a vector; the endpoint is asked once."""
        with self._lock:
            if self._dimension is None:
                self._dimension = len(self._ask(["dimension"])[0])
            return self._dimension

    def embed(self, texts: Sequence[str], kind: TextKind = "document") -> Vectors:
        """Return one unit vector a text: float32 ``[n, dimension]``.

        Raises:
            EmbeddingError: if a document is longer than the window, or the endpoint's reply is not what was asked for.
            ModelRequestError: if the endpoint refuses the request or fails; see ``ragkit.errors``.
        """
        pieces, owners = fit(texts, kind, self._prompts, self.tokenizer, self.window)
        if not pieces:
            return np.zeros((0, self.dimension), dtype=np.float32)
        # Endpoints refuse an empty text.
        pieces = [piece if piece.strip() else "." for piece in pieces]
        rows = [self._ask(pieces[first : first + _BATCH]) for first in range(0, len(pieces), _BATCH)]
        return gather(unit(np.concatenate(rows)), owners, len(texts))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, texts: list[str]) -> Vectors:
        failure: Exception
        try:
            reply: Any = self._client.embeddings.create(
                model=self._model, input=texts, encoding_format="float", extra_headers=self._unsent
            )
        except self._sdk.APITimeoutError:
            failure = ModelTimeoutError(f"The endpoint of {self.location} did not answer in time.", "Try again.")
        except self._sdk.APIConnectionError as error:
            cause = self._short(error.__cause__ or error)
            failure = ModelUnavailableError(
                f"The endpoint of {self.location} can't be reached: {cause}.", "Is the server running?"
            )
        except self._sdk.APIStatusError as error:
            failure = self._refusal(error.status_code, self._short(error.message))
        except (ValueError, TypeError) as error:
            failure = EmbeddingError(f"The endpoint of {self.location} sent no JSON: {self._short(error)}.", _CHECK)
        else:
            return self._vectors(reply, len(texts))
        raise failure

    def _vectors(self, reply: Any, count: int) -> Vectors:
        """Return the rows of a reply in the order of the texts."""
        try:
            entries = sorted(reply.data, key=lambda entry: int(entry.index))
            rows = np.array([entry.embedding for entry in entries], dtype=np.float32)
        except (AttributeError, TypeError, ValueError) as error:
            raise EmbeddingError(f"The endpoint of {self.location} sent no vectors.", _CHECK) from error
        if rows.ndim != 2 or len(rows) != count or not np.isfinite(rows).all():
            raise EmbeddingError(
                f"The endpoint of {self.location} sent vectors of shape {rows.shape} for {count} texts.", _CHECK
            )
        return rows

    def _refusal(self, status: int, text: str) -> ModelRequestError:
        said = f"The endpoint of {self.location} answered {status}: {text}."
        if status in (401, 403):
            return ModelAuthenticationError(said, "Check the API key: ragkit models key show openai")
        if status == 429:
            return ModelRateLimitError(said, "Wait, or ask for a higher limit.")
        if status >= 500:
            return ModelUnavailableError(said, "Try again later.")
        return ModelRequestError(said, "Check the model's name and the address: PROVIDER:MODEL@BASE_URL")

    def _short(self, value: object) -> str:
        text = " ".join(str(value).split())
        return (text.replace(self._secret, "***") if self._secret else text)[:300].rstrip(".")


_CHECK = "Check that the address ends in /v1 and serves an embedding model."


def is_endpoint_name(name: str) -> bool:
    """Return whether a name is ``PROVIDER:MODEL`` of a known provider."""
    return name.partition(":")[0] in PROVIDERS and ":" in name


def _parse(name: str) -> tuple[str, str, str | None]:
    prefix, _, rest = name.partition(":")
    model, separator, base_url = rest.partition("@http")
    address = f"http{base_url}" if separator else None
    known = [provider.name for provider in PROVIDERS.values() if provider.protocol == "openai"]
    if prefix not in known or not model:
        raise SettingsError(
            f"{name!r} does not name an embedding model behind an endpoint.",
            f"Write PROVIDER:MODEL or PROVIDER:MODEL@BASE_URL. Providers: {', '.join(known)}.",
        )
    return prefix, model, address


def _key(variable: str | None, name: str) -> str | None:
    """Return the key to send: the provider's own to its own address, or that of another endpoint."""
    found = find_key(variable or "RAGKIT_EMBEDDING_API_KEY")
    if found is None and variable is not None:
        raise ModelAuthenticationError(
            f"There is no API key for {name}.",
            f"Set the environment variable {variable}, or: ragkit models key set openai",
        )
    return found and found[0]


def _split(match: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Yield the span of a match; beyond ASCII and Latin, a span for each character."""
    start, end = match.span()
    if end - start > 1 and not match[0].isascii() and any(ord(character) >= 0x250 for character in match[0]):
        yield from ((at, at + 1) for at in range(start, end))
    else:
        yield start, end

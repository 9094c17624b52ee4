"""The providers of models that ragkit calls directly: their addresses, keys and protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Provider:
    """A hosted provider or a local server."""

    name: str
    """Prefix before the colon in ``PROVIDER:NAME``."""
    title: str
    base_url: str
    protocol: Literal["openai", "anthropic"] = "openai"
    key_variable: str | None = None
    """The environment variable of its key; None for a local server, which needs none."""
    window: int | None = None
    """Usual window of the server in tokens; None if ragkit's own default applies."""
    owner: str | None = None
    """Name by which a local server identifies itself in its list of models; None if its port alone is distinctive."""

    @property
    def local(self) -> bool:
        """Whether it is a server on this machine."""
        return self.key_variable is None


PROVIDERS = {
    provider.name: provider
    for provider in (
        Provider("openai", "OpenAI", "https://api.openai.com/v1", key_variable="OPENAI_API_KEY"),
        Provider("anthropic", "Anthropic", "https://api.anthropic.com", "anthropic", "ANTHROPIC_API_KEY"),
        # Ollama cuts longer prompts without saying so; it starts with this window on most machines, and LM Studio too.
        Provider("ollama", "Ollama", "http://localhost:11434/v1", window=4096),
        Provider("lmstudio", "LM Studio", "http://localhost:1234/v1", window=4096),
        Provider("llamacpp", "llama.cpp server", "http://localhost:8080/v1", owner="llamacpp"),
        Provider("vllm", "vLLM", "http://localhost:8000/v1", owner="vllm"),
    )
}
"""All providers by name. To add one, add a line."""
LOCAL_SERVERS = tuple(provider for provider in PROVIDERS.values() if provider.local)

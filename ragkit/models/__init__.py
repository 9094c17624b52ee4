"""Messages to text: local models with llama.cpp, endpoints, LangChain models, chains of them in ``models.fallback``."""

from ragkit.models.base import ChatModel, Completion, Delta, GenerationOptions, ScoringModel, complete
from ragkit.models.files import installed_models, known_models, pull
from ragkit.models.opening import open_model

__all__ = [
    "ChatModel",
    "Completion",
    "Delta",
    "GenerationOptions",
    "ScoringModel",
    "complete",
    "installed_models",
    "known_models",
    "open_model",
    "pull",
]

"""Ragkit for LangChain and LangChain for ragkit: search, stores, chat models, example selectors and embeddings.

``RagkitRetriever(retriever=index)`` and ``RagkitChat(model="smollm2")`` work in any LangChain chain;
``ragkit.models.langchain.LangChainModel(model)`` wraps a LangChain chat model for ragkit.
``FewShotPromptTemplate(example_selector=RagkitExampleSelector(selector), ...)`` uses ragkit's selection in LangChain's
prompts; ``LangChainSelector(selector)`` wraps a LangChain selector for ragkit. Importing this package raises
``MissingExtraError`` if langchain-core is not installed.
"""

from ragkit.errors import MissingExtraError

try:
    import langchain_core  # noqa: F401  (checked once for all modules of this package)
except ImportError as error:
    raise MissingExtraError("langchain-core", "langchain", "by ragkit.integrations") from error

from ragkit.integrations.langchain_chat import RagkitChat
from ragkit.integrations.langchain_embeddings import RagkitEmbeddings
from ragkit.integrations.langchain_examples import LangChainSelector, RagkitExampleSelector
from ragkit.integrations.langchain_retriever import RagkitRetriever
from ragkit.integrations.langchain_store import RagkitVectorStore

__all__ = [
    "LangChainSelector",
    "RagkitChat",
    "RagkitEmbeddings",
    "RagkitExampleSelector",
    "RagkitRetriever",
    "RagkitVectorStore",
]

"""Ragkit and LangChain, both ways: search, vector stores, chat models, selectors of examples and embeddings.

``RagkitRetriever(retriever=index)`` and ``RagkitChat(model="smollm2")`` stand in any of LangChain's chains;
``ragkit.models.langchain.LangChainModel(model)`` is any of LangChain's chat models as ragkit's.
``FewShotPromptTemplate(example_selector=RagkitExampleSelector(selector), ...)`` puts ragkit's choice into LangChain's
prompts; ``LangChainSelector(selector)`` is any of LangChain's selectors as ragkit's. Importing this room raises
``MissingExtraError`` where langchain-core is not installed.
"""

from ragkit.errors import MissingExtraError

try:
    import langchain_core  # noqa: F401  (here once, for the modules of this room)
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

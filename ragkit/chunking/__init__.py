"""Documents to chunks: token windows that begin and end at headings, paragraphs and sentences, with exact offsets."""

from ragkit.chunking.chunker import ChunkingOptions, chunk_document
from ragkit.chunking.sentences import sentence_spans
from ragkit.chunking.tokenizer import Tokenizer

__all__ = ["ChunkingOptions", "Tokenizer", "chunk_document", "sentence_spans"]

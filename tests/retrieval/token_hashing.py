"""The fast embedder of the index's tests, with a vector a token too."""

import re

from tests.indexing.hashing import HashingEmbedder


class TokenHashingEmbedder(HashingEmbedder):
    """A token's vector is its word's alone; counts the texts whose tokens it has embedded."""

    def __init__(self, dimension=48, window=64):
        super().__init__(dimension, window)
        self.token_texts = 0

    def embed_tokens(self, texts, kind="document"):
        self.token_texts += len(texts)
        return [self.embed(re.findall(r"\w+", text.lower())) for text in texts]

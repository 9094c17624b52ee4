"""Classification heads on the embedder."""

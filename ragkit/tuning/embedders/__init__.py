"""Fine-tuning of the embedding model on classes or on pairs of question and passage."""

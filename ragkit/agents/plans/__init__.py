"""Plans: steps that a model writes and ragkit checks, runs over documents, and traces."""

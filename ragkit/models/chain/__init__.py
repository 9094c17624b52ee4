"""A chain of models that back each other up: the model itself, its policy, attempts, budgets and circuit breakers."""

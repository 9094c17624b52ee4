"""Recommends an approach for a task from measurements at several numbers of examples: ``advise``."""

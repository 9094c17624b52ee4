"""Which approach to take for a task, measured at several numbers of examples: ``advise``."""

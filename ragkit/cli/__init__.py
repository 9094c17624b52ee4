"""The command line: everything the Python API does, with progress bars for people and ``--json`` for scripts."""

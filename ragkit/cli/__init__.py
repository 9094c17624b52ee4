"""The command line: all of the Python API, with progress bars, and ``--json`` for scripts."""

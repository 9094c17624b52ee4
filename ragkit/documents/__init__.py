"""Reads files as documents: one module per format, run in a child process with time and memory limits.

``Loader(options).load(file)`` yields documents and issues; a file that can't be read is an issue, never an exception.
"""

from ragkit.documents.base import Issue, LoadOptions, SourceFile
from ragkit.documents.discovery import Discovery, discover, file_sha256, survey
from ragkit.documents.loader import Loader, load
from ragkit.documents.registry import Format

__all__ = [
    "Discovery",
    "Format",
    "Issue",
    "LoadOptions",
    "Loader",
    "SourceFile",
    "discover",
    "file_sha256",
    "load",
    "survey",
]

"""The words of a PDF by poppler's pdftotext: the truth for the benchmark of loaders.

Debian and Ubuntu: ``apt-get install poppler-utils``.
"""

from __future__ import annotations

import re
import subprocess
import unicodedata
from pathlib import Path
from typing import Literal

_WORD = re.compile(r"[^\W_]+")
_BROKEN = re.compile(r"(?<=[^\W\d_])[-\u2010\u00ad]\s*\n\s*(?=[^\W\d_])")


def pdf_words(path: Path, order: Literal["raw", "layout"] = "raw") -> list[str]:
    """Return the words of a PDF, without case and compatibility forms, hyphenated ones joined.

    Args:
        path: of the PDF.
        order: ``raw`` for the order in which the file holds them, ``layout`` for that of lines across the page.

    Raises:
        subprocess.CalledProcessError: if pdftotext can't read the file.
    """
    command = ["pdftotext", f"-{order}", "-enc", "UTF-8", str(path), "-"]
    text = subprocess.run(command, check=True, capture_output=True).stdout.decode("utf-8", "replace")
    return _WORD.findall(_BROKEN.sub("", unicodedata.normalize("NFKC", text)).casefold())

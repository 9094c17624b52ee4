"""RTF with striprtf: the text, tables as rows, notes and comments in brackets, text boxes, headers and footers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ragkit.documents.base import Issue, Source, clean_text
from ragkit.documents.completeness import check_complete
from ragkit.errors import UnreadableFileError
from ragkit.records import Document

_CODE_PAGE = re.compile(rb"\\ansicpg(\d+)")
_TITLE = re.compile(r"\{\\title ([^{}\\]+)\}")
_BINARY = re.compile(rb"\\bin(\d{1,9}) ?")
_MARKED = re.compile(
    r"\{\s*(?:\\\*\s*)?\\(footnote|annotation|shp|shpinst|shptxt|object|result|pntext|(?:header|footer)[lrf]?)"
    r"(?![a-zA-Z]) ?"
)
"""Visible groups that striprtf leaves out."""
_AS_TEXT = {
    "footnote": ("{ [", "]"),
    "annotation": ("{ [Comment: ", "]"),
    **dict.fromkeys(("pntext", "shp", "shpinst", "object", "result"), ("{ ", "")),
}
"""Text before and after these groups in the output; all other groups become paragraphs."""
_HEADER = re.compile(r"\{\s*\\(?:header|footer)[lrf]?(?![a-zA-Z])")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_MARKED_OR_BRACE = re.compile(f"{_MARKED.pattern}|{_BRACE.pattern}", re.DOTALL)
_TOKEN = re.compile(
    r"\\'([0-9a-fA-F]{2})|\\u(-?\d+) ?(?:\\'[0-9a-fA-F]{2}|[^\\{}])?|\\([a-zA-Z]+)-?\d* ?|\\(.)|([{}])|([^\\{}]+)",
    re.DOTALL,
)
"""A byte, a character with its replacement, a control word, a control symbol, a brace, or text."""
_HIDDEN = frozenset(
    (
        *(
            "fonttbl",
            "colortbl",
            "stylesheet",
            "info",
            "pict",
            "objdata",
            "objclass",
            "fldinst",
            "listtable",
            "sp",
            "xe",
        ),
        *("listoverridetable", "colorschememapping", "datastore", "generator", "latentstyles", "rsidtbl", "bkmkstart"),
        *(
            "bkmkend",
            "sp",
            "xe",
            "xmlnstbl",
            "mmathPr",
            "tc",
            "template",
            "shprslt",
            "nonesttables",
            "mmathPict",
            "pn",
            "filetbl",
        ),
        *("revtbl", "ftnsep", "ftnsepc", "aftnsep", "aftnsepc", "formfield", "datafield", "atnid", "atnauthor"),
    )
)
"""Destinations whose text nobody sees."""
_SHOWN = frozenset(("shpinst", "shptxt", "annotation", "footnote"))
"""Destinations that a person sees although ``\\*`` marks them to be skipped by older programs."""
_ONE_CODE_PAGE = {"0", "1", "2"}


def parse(source: Source) -> Iterator[Document | Issue]:
    """Yield the file as one document."""
    from striprtf.striprtf import rtf_to_text

    data = _without_binary(source.path.read_bytes())
    if b"}" not in data:
        raise UnreadableFileError("It is a cut RTF file.", "Download it again.")
    # The file itself is ASCII with escapes; other bytes are in the code page that it names.
    page = _CODE_PAGE.search(data[:2000])
    encoding = f"cp{page.group(1).decode()}" if page else "cp1252"
    try:
        markup = data.decode(encoding, "replace")
    except LookupError:
        encoding, markup = "cp1252", data.decode("cp1252", "replace")
    markup = _without_repeats(markup)
    text = _lines(_joined_surrogates(rtf_to_text(_with_marked(markup), encoding=encoding, errors="replace")))
    yield from check_complete(source, _joined_surrogates("".join(_visible(markup, encoding))), text)
    title = _TITLE.search(markup)
    if text:
        yield source.document(text, "application/rtf", title=title.group(1) if title else "")


def _without_binary(data: bytes) -> bytes:
    """Return a file without the bytes of pictures and objects that are not written in hexadecimal."""
    parts: list[bytes] = []
    place = 0
    while match := _BINARY.search(data, place):
        parts.append(data[place : match.start()])
        place = match.end() + int(match.group(1))
    return b"".join((*parts, data[place:]))


def _without_repeats(markup: str) -> str:
    """Return a file with headers and footers once that its sections repeat."""
    parts: list[str] = []
    seen: set[str] = set()
    place = 0
    for match in _HEADER.finditer(markup):
        if match.start() >= place:
            end = _group_end(markup, match.start())
            repeated = markup[match.end() : end] in seen
            seen.add(markup[match.end() : end])
            parts.append(markup[place : match.start() if repeated else end])
            place = end
    return "".join((*parts, markup[place:]))


def _with_marked(markup: str) -> str:
    """Return a file with the groups of ``_MARKED`` as ordinary text."""
    parts: list[str] = []
    closings: list[str] = []
    place = 0
    for token in _MARKED_OR_BRACE.finditer(markup):
        if token.group().startswith("\\"):
            continue
        parts.append(markup[place : token.start()])
        place = token.end()
        name = token.group(1)
        if token.group() == "}":
            parts.append(f"{closings.pop() if closings else ''}}}")
        else:
            opening, closing = ("{", "") if name is None else _AS_TEXT.get(name, (r"{\par ", r"\par "))
            parts.append(opening)
            closings.append(closing)
    return "".join((*parts, markup[place:]))


def _group_end(markup: str, start: int) -> int:
    """Return where a group ends that begins at ``start``."""
    depth = 0
    for match in _BRACE.finditer(markup, start):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return match.end()
    return len(markup)


def _visible(markup: str, encoding: str) -> Iterator[str]:
    """Yield all text outside of hidden groups, for the self-check, which no other code of the loader takes part in.

    Bytes of fonts with a code page of their own are not counted.
    """
    fonts = set(re.findall(r"\\fcharset(\d+)", markup[:20_000]))
    hidden: list[bool] = []
    starred = False
    for byte, code, word, symbol, brace, text in (match.groups() for match in _TOKEN.finditer(markup)):
        if brace == "{":
            hidden.append(bool(hidden) and hidden[-1])
        elif brace:
            if hidden:
                hidden.pop()
        elif symbol == "*" or word:
            if word and hidden and (word in _HIDDEN or (starred and word not in _SHOWN)):
                hidden[-1] = True
            starred = symbol == "*"
            if word in ("par", "cell", "line", "tab"):
                yield " "
            continue
        elif hidden and hidden[-1]:
            pass
        elif text:
            yield re.sub(r"[\r\n]", "", text)
        elif code:
            yield chr(int(code) % 65536)
        elif byte and fonts <= _ONE_CODE_PAGE:
            yield bytes.fromhex(byte).decode(encoding, "replace")
        starred = False


def _joined_surrogates(text: str) -> str:
    """Return text with characters outside the basic plane, which RTF writes as two surrogates."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _lines(text: str) -> str:
    """Return text with rows of tables as ``| a | b |``, as in other formats, and at most one empty line in a row."""
    lines = []
    for line in clean_text(text).split("\n"):
        cells = [" ".join(cell.split()) for cell in line.rstrip().removesuffix("|").split("|")]
        is_row = line.rstrip().endswith("|") and len(cells) > 1
        lines.append(f"| {' | '.join(cells)} |" if is_row else line.rstrip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()

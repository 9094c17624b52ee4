"""The words that a person sees in office files, mails and books, from their raw parts and without ragkit's loaders."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.loader_truth import words

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"


def xlsx_words(path: Path) -> list[str]:
    """Words of all cells, by openpyxl."""
    return words(" ".join(_xlsx_values(path)))


def xlsx_strings(path: Path) -> list[str]:
    """The cells that are strings, by openpyxl."""
    return _xlsx_values(path, strings=True)


def _xlsx_values(path: Path, *, strings: bool = False) -> list[str]:
    import openpyxl

    book = openpyxl.load_workbook(path, data_only=True)
    # Not row by row, since a single cell far out makes a sheet of a billion cells.
    values = (cell.value for sheet in book.worksheets for cell in sheet._cells.values())
    return [
        str(int(each)) if isinstance(each, float) and each.is_integer() else str(each)
        for each in values
        if (isinstance(each, str) if strings else each is not None)
    ]


def docx_words(path: Path) -> list[str]:
    """Words of the body, of the notes it refers to, and of the headers and footers that are shown.

    Tracked deletions, the code of fields and the second form of text boxes are not seen. Numbers of lists, charts and
    diagrams are not counted, as the text of the parts does not hold them.
    """
    with zipfile.ZipFile(path) as archive:
        types = ElementTree.fromstring(archive.read("[Content_Types].xml"))
        main = next(
            (
                (each.get("PartName") or "").lstrip("/")
                for each in types
                if re.search(r"(document|template)\.(\w+\.)?main\+xml$", each.get("ContentType") or "")
            ),
            "word/document.xml",
        )
        folder = Path(main).parent
        body = ElementTree.fromstring(archive.read(main))
        names = set(archive.namelist())
        targets = {}
        if f"{folder}/_rels/{Path(main).name}.rels" in names:
            for each in ElementTree.fromstring(archive.read(f"{folder}/_rels/{Path(main).name}.rels")):
                target = each.get("Target") or ""
                targets[each.get("Id")] = target.lstrip("/") if target.startswith("/") else f"{folder}/{target}"
        parts = [body]
        settings = archive.read(f"{folder}/settings.xml") if f"{folder}/settings.xml" in names else b""
        shown = []
        for section in body.iter():
            if _local(section) == "sectPr":
                kinds = {"default"} | {"first" for each in section if _local(each) == "titlePg" and _is_on(each)}
                kinds |= {"even"} if b"evenAndOddHeaders" in settings else set()
                shown += [
                    targets.get(_of(each, "id"), "")
                    for each in section
                    if _local(each) in ("headerReference", "footerReference") and _of(each, "type") in kinds
                ]
        around = [ElementTree.fromstring(archive.read(name)) for name in dict.fromkeys(shown) if name in names]
        for kind in ("footnote", "endnote"):
            referred = {_of(each, "id") for each in body.iter() if _local(each) == f"{kind}Reference"}
            if f"{folder}/{kind}s.xml" in names:
                notes = ElementTree.fromstring(archive.read(f"{folder}/{kind}s.xml"))
                parts += [each for each in notes if _of(each, "id") in referred]
        # Sections repeat the lines of headers and footers.
        lines = dict.fromkeys("".join(_docx_text(each, [])).strip() for part in around for each in part)
        return words(" ".join(["".join(_docx_text(each, [])) for each in parts] + list(lines)))


def _docx_text(node: ElementTree.Element, codes: list[bool]) -> Iterator[str]:
    """Yield the text below an element; ``codes`` tells of each open field whether its code is being read."""
    alternatives = _local(node) == "AlternateContent"
    for child in list(node)[:1] if alternatives else node:
        name = _local(child)
        if name in ("del", "moveFrom", "sectPr", "pPr", "rPr", "sdtPr"):
            continue
        if name == "t":
            if not any(codes):
                yield child.text or ""
        elif name in ("tab", "br", "cr", "noBreakHyphen", "footnoteReference", "endnoteReference"):
            yield " "
        elif name == "fldChar":
            kind = _of(child, "fldCharType")
            if kind == "begin":
                codes.append(True)
            elif codes and kind == "separate":
                codes[-1] = False
            elif codes:
                codes.pop()
        else:
            apart = name in ("p", "tc", "txbxContent", "oMath", "num", "den", "sub", "sup", "lim", "deg")
            yield " " if apart else ""
            yield from _docx_text(child, codes)
            yield " " if apart else ""


def _local(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]


def _of(node: ElementTree.Element, name: str) -> str:
    return next((value for key, value in node.attrib.items() if key.rpartition("}")[2] == name), "")


def _is_on(node: ElementTree.Element) -> bool:
    return _of(node, "val") not in ("0", "false", "off")


def pptx_words(path: Path) -> list[str]:
    """Words of slides, notes, comments, diagrams and charts, less slide numbers."""
    parts: list[str] = []
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if re.fullmatch(r"ppt/(slides|notesSlides|comments|diagrams/data)/?[^/]*\.xml", name):
                root = ElementTree.fromstring(archive.read(name))
                for number in [each for each in root.iter(f"{_A}fld") if each.get("type") == "slidenum"]:
                    number.clear()
                for paragraph in root.iter():
                    if paragraph.tag == f"{_A}p":
                        parts.append(
                            "".join(each.text or " " for each in paragraph.iter() if each.tag.endswith(("}t", "}br")))
                        )
                    elif paragraph.tag.endswith("}text"):
                        parts.append(paragraph.text or "")
            elif re.fullmatch(r"ppt/charts/chart\d+\.xml", name):
                root = ElementTree.fromstring(archive.read(name))
                for series in list(root.iter(f"{_C}ser"))[1:]:
                    # Its categories are those of the first series.
                    for categories in series.findall(f"{_C}cat"):
                        categories.clear()
                parts += [each.text or "" for each in root.iter(f"{_C}v")]
    return words(" ".join(parts))


def mail_words(path: Path) -> list[str]:
    """Words of the subject and of the text parts that are no attachments: of HTML and plain text the longer one."""
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16").encode()
    elif b"\0" in data[:2]:
        data = data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le").encode()
    message = message_from_bytes(data, policy=policy.compat32)
    bodies = {"text/plain": "", "text/html": ""}
    for part in message.walk():
        kind = part.get_content_type()
        if kind in bodies and not part.get_filename() and not part.is_multipart():
            raw = part.get_payload(decode=True) or b""
            text = raw.decode(part.get_content_charset() or "utf-8", "replace")
            bodies[kind] += text if kind == "text/plain" else _without_tags(text)
    return max((words(text) for text in bodies.values()), key=len)


def epub_words(path: Path) -> list[str]:
    """Words of the chapters that the spine names, tags removed."""
    with zipfile.ZipFile(path) as archive:
        package = next(name for name in archive.namelist() if name.endswith(".opf"))
        root = ElementTree.fromstring(archive.read(package))
        items = {each.get("id"): each for each in root.iter() if each.tag.endswith("}item")}
        found: list[str] = []
        for reference in (each.get("idref") for each in root.iter() if each.tag.endswith("}itemref")):
            item = items[reference]
            if "nav" not in (item.get("properties") or ""):
                name = str(Path(package).parent / (item.get("href") or ""))
                found += words(_without_tags(archive.read(name).decode()))
    return found


def opendocument_words(path: Path) -> list[str]:
    """Words of all paragraphs and headings, less tracked deletions."""
    with zipfile.ZipFile(path) as archive:
        root = ElementTree.fromstring(archive.read("content.xml"))
    for deletion in list(root.iter(f"{_TEXT}tracked-changes")):
        deletion.clear()
    inside = {id(inner) for each in root.iter(f"{_TEXT}p") for inner in each.iter(f"{_TEXT}p") if inner is not each}
    paragraphs = [each for each in root.iter() if each.tag in (f"{_TEXT}p", f"{_TEXT}h") and id(each) not in inside]
    return words(" ".join("".join(_pieces(each)) for each in paragraphs))


def ipynb_words(path: Path) -> list[str]:
    """Words of the cells and of their outputs as text, less those of pictures."""
    parts: list[str] = []
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        parts.append("".join(cell["source"]))
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            parts.append("".join(output.get("text", ())) + " ".join(output.get("traceback", ())))
            if not any(kind.startswith("image/") for kind in data):
                parts.append("".join(data.get("text/plain", ())))
    return words(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(parts)))


def _pieces(node: ElementTree.Element) -> list[str]:
    apart = node.tag in (f"{_TEXT}s", f"{_TEXT}tab", f"{_TEXT}line-break", f"{_TEXT}p")
    parts = [" " if apart else "", node.text or ""]
    for child in node:
        parts += [*_pieces(child), child.tail or ""]
    return [*parts, " " if apart else ""]


def _without_tags(markup: str) -> str:
    import html

    markup = re.sub(r"(?is)<(script|style|head|template)\b.*?</\1>|<!--.*?-->", " ", markup)
    markup = re.sub(
        r"(?i)</?(p|div|br|td|th|tr|li|ul|ol|table|h\d|blockquote|section|hr|dt|dd|img|pre)\b[^>]*>", " ", markup
    )
    return html.unescape(re.sub(r"<[^>]+>", "", markup))

"""EPUB with the standard library and the HTML loader: a unit per chapter, in the order of the spine."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from ragkit.documents.archives import local_name, open_archive, read_xml
from ragkit.documents.base import Issue, Source, TextBuilder, plain_metadata
from ragkit.documents.completeness import check_complete
from ragkit.documents.markup import html_document, text_nodes
from ragkit.errors import UnreadableFileError, UnsupportedFileError
from ragkit.records import Document, PageSpan

_MARKUP = ("application/xhtml+xml", "text/html", "application/xml")
_FONT_ALGORITHMS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def parse(source: Source) -> Iterator[Document | Issue | None]:
    """Yield the book as one document."""
    with open_archive(source) as archive:
        _check_protection(archive)
        package, folder = _package(archive)
        titles = _chapter_titles(archive, package, folder)
        builder = TextBuilder()
        pages: list[PageSpan] = []
        for number, name in enumerate(_spine(package, folder), 1):
            yield None
            try:
                markup = archive.read(name)
            except (KeyError, zipfile.BadZipFile):
                yield source.issue("text_lost", f"Chapter {number} ({name}) is missing or damaged.")
                continue
            chapter = html_document(source, markup)
            seen = text_nodes(markup.decode("utf-8", "replace"))
            if chapter is not None:
                start = builder.next_start()
                builder.add_document(chapter)
                label = titles.get(name) or (chapter.headings[0].title if chapter.headings else f"chapter {number}")
                pages.append(PageSpan(number, start, builder.length, " ".join(label.split())[:200]))
            text = chapter.text if chapter is not None else ""
            yield from check_complete(source, seen, text, place=f"chapter {number}")
    if builder.length:
        about = _metadata(package)
        yield source.document(
            builder.text(),
            "application/epub+zip",
            title=str(about.pop("title", "") or ""),
            metadata=plain_metadata(about),
            pages=tuple(pages),
            headings=builder.headings(),
        )


def _package(archive: zipfile.ZipFile) -> tuple[Any, str]:
    """Return the root of the package document, and the folder that its paths start from."""
    container = read_xml(archive, "META-INF/container.xml")
    name = ""
    if container is not None:
        name = next((node.get("full-path", "") for node in container.iter("{*}rootfile")), "")
    if not name:
        name = next((each for each in archive.namelist() if each.endswith(".opf")), "")
    package = read_xml(archive, name, recover=True) if name else None
    if package is None:
        raise UnreadableFileError("It has no package document, which lists its chapters.", "Download it again.")
    return package, posixpath.dirname(name)


def _check_protection(archive: zipfile.ZipFile) -> None:
    encryption = read_xml(archive, "META-INF/encryption.xml")
    if encryption is None:
        return
    methods = {node.get("Algorithm", "") for node in encryption.iter("{*}EncryptionMethod")}
    if methods - set(_FONT_ALGORITHMS):
        raise UnsupportedFileError("It is a book with copy protection (DRM).", "Use a copy without protection.")


def _items(package: Any, folder: str) -> dict[str, tuple[str, str, str]]:
    """Return path, media type and properties of each item of the manifest, by id."""
    found = {}
    for item in package.iter("{*}item"):
        path = posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
        found[item.get("id", "")] = (path, item.get("media-type", ""), item.get("properties", ""))
    return found


def _spine(package: Any, folder: str) -> Iterator[str]:
    """Yield the paths of the chapters in reading order, each once."""
    items = _items(package, folder)
    seen: set[str] = set()
    for reference in package.iter("{*}itemref"):
        path, media_type, properties = items.get(reference.get("idref", ""), ("", "", ""))
        is_contents = "nav" in properties.split()
        if path and path not in seen and media_type in _MARKUP and not is_contents:
            seen.add(path)
            yield path


def _chapter_titles(archive: zipfile.ZipFile, package: Any, folder: str) -> dict[str, str]:
    """Return the titles of chapters in the table of contents, by the path of their file."""
    titles: dict[str, str] = {}
    for path, media_type, properties in _items(package, folder).values():
        try:
            if "nav" in properties.split():
                root = read_xml(archive, path, recover=True)
                entries = [] if root is None else [(a.get("href"), "".join(a.itertext())) for a in root.iter("{*}a")]
            elif media_type == "application/x-dtbncx+xml":
                root = read_xml(archive, path, recover=True)
                entries = [] if root is None else [_ncx_entry(point) for point in root.iter("{*}navPoint")]
            else:
                continue
        except UnreadableFileError:
            continue
        for href, title in entries:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote((href or "").split("#")[0])))
            if title.strip():
                titles.setdefault(target, " ".join(title.split()))
    return titles


def _ncx_entry(point: Any) -> tuple[str, str]:
    href = next((node.get("src", "") for node in point.iterchildren("{*}content")), "")
    label = next(point.iterchildren("{*}navLabel"), None)
    return href, "".join(label.itertext()) if label is not None else ""


def _metadata(package: Any) -> dict[str, object]:
    names = {"title": "title", "creator": "author", "language": "language", "date": "date", "publisher": "publisher"}
    found: dict[str, object] = {}
    for node in package.iter():
        name = names.get(local_name(node))
        if name and str(node.tag).startswith("{http://purl.org/dc/") and node.text and name not in found:
            found[name] = " ".join(node.text.split())
    return found

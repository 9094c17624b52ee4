"""The parts of a DOCX file: found by content types and relationships, read within limits, damage reported."""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from ragkit.documents.archives import local_name, parse_xml
from ragkit.documents.base import Issue, Source
from ragkit.errors import UnreadableFileError

_MAIN = re.compile(r"(wordprocessingml|ms-word)\.(document|template)\b.*\bmain\b", re.IGNORECASE)
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class Relation:
    """A reference from one part to another."""

    kind: str
    """The last part of its type, such as ``footnotes``: the same in transitional and strict files."""
    target: str
    """Name of the part, or an address if ``external``."""
    external: bool


@dataclass(slots=True)
class Package:
    """The archive of a DOCX file."""

    source: Source
    archive: zipfile.ZipFile
    issues: list[Issue] = field(default_factory=list)
    """Parts that are damaged or missing."""
    _names: dict[str, str] = field(default_factory=dict)
    _relations: dict[str, dict[str, Relation]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Names are case-insensitive, and some writers separate folders with backslashes.
        for name in self.archive.namelist():
            self._names[_key(name)] = name

    def main_part(self) -> str:
        """Return the name of the part with the text; empty if there is none."""
        for relation in self.relations("").values():
            if relation.kind == "officeDocument" and not relation.external and _key(relation.target) in self._names:
                return relation.target
        types = self.xml("[Content_Types].xml")
        for node in types.iter("{*}Override") if types is not None else ():
            name = str(node.get("PartName", "")).lstrip("/")
            if _MAIN.search(node.get("ContentType", "")) and _key(name) in self._names:
                return name
        return "word/document.xml" if "word/document.xml" in self._names else ""

    def relations(self, name: str) -> dict[str, Relation]:
        """Return the relationships of a part by id; of the package for an empty name."""
        if name not in self._relations:
            folder, base = posixpath.split(name)
            root = self.xml(posixpath.join(folder, "_rels", f"{base}.rels"))
            found = {}
            for node in root.iter("{*}Relationship") if root is not None else ():
                external = node.get("TargetMode") == "External"
                target = node.get("Target", "")
                if not external:
                    target = posixpath.normpath(posixpath.join("/", folder, unquote(target).replace("\\", "/")))
                kind = node.get("Type", "").rstrip("/").rpartition("/")[2]
                found[node.get("Id", "")] = Relation(kind, target if external else target.lstrip("/"), external)
            self._relations[name] = found
        return self._relations[name]

    def related(self, name: str, kind: str) -> str:
        """Return the name of the part that a part is related to in one way, such as ``styles``; empty for none."""
        found = (each for each in self.relations(name).values() if each.kind == kind and not each.external)
        return next((each.target for each in found), "")

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a part; None, with an issue, if it is damaged, and None if it is missing."""
        member = self._names.get(_key(name))
        if member is None:
            return None
        try:
            return self.archive.read(member)
        except _DAMAGE as error:
            self.report(f"Its part {name} is damaged ({error}) and was not read.")
            return None

    def xml(self, name: str, *, required: bool = False) -> Any:
        """Return the root of a part, or None if it is missing or damaged.

        For invalid XML, it contains as much as can be read, and an issue is added.

        Args:
            name: name of the part; empty for none.
            required: add an issue if it is missing.

        Raises:
            UnreadableFileError: if it declares a document type, which no DOCX part may.
        """
        from lxml import etree

        data = self.read(name)
        if data is None:
            if required and _key(name) not in self._names:
                self.report(f"Its part {name} is missing.")
            return None
        try:
            root = parse_xml(data)
        except (etree.XMLSyntaxError, ValueError) as error:
            self.report(f"Its part {name} is not valid XML ({error}); its text may be incomplete.")
            try:
                root = parse_xml(data, recover=True)
            except (etree.XMLSyntaxError, ValueError):
                return None
        if root is not None and root.getroottree().docinfo.internalDTD is not None:
            raise UnreadableFileError(
                f"Its part {name} declares a document type, which a DOCX file must not.",
                "Open it in its program and save it again.",
            )
        return root

    def report(self, detail: str) -> None:
        """Add an issue, once: text of the file was not read."""
        if all(issue.detail != detail for issue in self.issues):
            hint = "Open it in its program and save it again."
            self.issues.append(self.source.issue("text_lost", detail, hint=hint))


def attribute(node: Any, name: str, default: str = "") -> str:
    """Return an attribute by its name without namespace, which differs between transitional and strict files."""
    for key, value in node.attrib.items():
        if key.rpartition("}")[2] == name:
            return str(value)
    return default


def child(node: Any, name: str) -> Any:
    """Return the first child of a name, or None."""
    return next((each for each in node if local_name(each) == name), None) if node is not None else None


def value(node: Any, name: str) -> str | None:
    """Return the attribute ``val`` of the first child of a name; None without the child."""
    found = child(node, name)
    return None if found is None else attribute(found, "val")


def is_on(node: Any, name: str) -> bool:
    """Return whether a property is there and not switched off."""
    found = child(node, name)
    return found is not None and attribute(found, "val", "1").lower() not in ("0", "false", "off", "none")


def chosen(node: Any) -> Any:
    """Return the alternative of an ``AlternateContent`` that is read: the first choice, or the fallback."""
    found = child(node, "Choice")
    if found is None:
        found = child(node, "Fallback")
    return () if found is None else found


def integer(text: str | None, default: int = 0) -> int:
    """Return a number of at most nine digits, or the default."""
    return int(text) if text and re.fullmatch(r"-?\d{1,9}", text) else default


def _key(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()

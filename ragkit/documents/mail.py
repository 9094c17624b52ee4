"""EML and MHTML with the standard library, Outlook's MSG with python-oxmsg: fields, body and attachments.

The fields and the body are one document; each attachment is read by its own loader. Quoted replies stay, marked by
``>`` or, in HTML, by a line above them.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any

from ragkit.documents.base import Issue, Source, TextBuilder, clean_text, plain_metadata
from ragkit.documents.completeness import check_complete
from ragkit.documents.html import parse_html
from ragkit.documents.markup import html_document, text_nodes
from ragkit.documents.members import read_member
from ragkit.errors import UnreadableFileError
from ragkit.records import Document

_FIELDS = ("From", "To", "Cc", "Date", "Subject")
_SKIPPED = (
    *("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"),
    *("text/css", "text/javascript", "application/javascript", "application/x-javascript"),
)
"""Media types of signatures, and of resources of a saved page."""
_PICTURES = ("image/", "audio/", "video/")
_QUOTES = (
    "//blockquote[not(ancestor::blockquote)] | //div[contains(concat(' ', @class, ' '), ' gmail_quote ')]"
    "[not(descendant::blockquote)]"
)
_NEARLY = 0.9


@dataclass(slots=True)
class _Mail:
    fields: dict[str, str]
    plain: str = ""
    html: str = ""
    attachments: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Attachments: name, media type and bytes."""


def parse(source: Source) -> Iterator[Document | Issue | None]:
    """Yield the mail as one document, then its attachments."""
    data = source.path.read_bytes()
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        mail, media_type = _outlook(source), "application/vnd.ms-outlook"
    else:
        mail, media_type = _internet(data), "message/rfc822"
    builder = TextBuilder()
    lines = [f"{name}: {value}" for name, value in mail.fields.items() if value]
    if mail.attachments:
        lines.append(f"Attachments: {', '.join(name for name, _, _ in mail.attachments)}")
    builder.add("\n".join(lines))
    body = html_document(source, _marked(mail.html).encode(), "utf-8") if mail.html.strip() else None
    plain = mail.plain.strip()
    if body is not None and _words(plain) < _NEARLY * _words(body.text):
        builder.add_document(body)
        yield from check_complete(source, text_nodes(mail.html), builder.text())
    else:
        builder.add(plain)
    if builder.length:
        yield source.document(
            builder.text(),
            media_type,
            title=mail.fields.get("Subject") or source.path.stem,
            metadata=plain_metadata(
                {
                    "from": mail.fields.get("From"),
                    "to": mail.fields.get("To"),
                    "subject": mail.fields.get("Subject"),
                    "date": _iso(mail.fields.get("Date", "")),
                }
            ),
            headings=builder.headings(),
        )
    for name, kind, content in mail.attachments:
        yield None
        for item in read_member(source, name, content):
            # A picture that no loader reads is named in the text, and most are logos.
            if not (isinstance(item, Issue) and item.kind == "member_refused" and kind.startswith(_PICTURES)):
                yield item


def _internet(data: bytes) -> _Mail:
    """Return a mail in the format of the internet."""
    for mark, encoding in (
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
        (codecs.BOM_UTF8, "utf-8"),
    ):
        if data.startswith(mark):
            data = data.decode(encoding, "replace").lstrip("\ufeff").encode()
    if data[1:2] == b"\0" or data[:1] == b"\0":
        data = data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be", "replace").encode()
    # The first line of a mail from an mbox file is no field.
    data = re.sub(rb"\AFrom [^\n]*\n", b"", data.lstrip(b"\r\n"))
    message = message_from_bytes(data, _class=EmailMessage, policy=policy.default)
    mail = _Mail({name: _field(message, name) for name in _FIELDS})
    if not any(mail.fields.values()) and not message.is_multipart():
        raise UnreadableFileError(
            "It has none of the fields of a mail, such as From.", "Rename it with the suffix of its real type."
        )
    _collect(message, mail)
    return mail


def _collect(part: Any, mail: _Mail) -> None:
    """Put the parts of a message to its body or its attachments."""
    kind = part.get_content_type()
    name = _attachment_name(part)
    if kind == "message/rfc822":
        inner = part.get_payload()
        if isinstance(inner, list) and inner:
            title = re.sub(r"[^\w -]+", " ", _field(inner[0], "Subject")).strip() or "message"
            mail.attachments.append((name or f"{title}.eml", kind, inner[0].as_bytes()))
        return
    if part.is_multipart():
        for inner in part.get_payload():
            _collect(inner, mail)
        return
    if kind in _SKIPPED:
        return
    data = part.get_payload(decode=True) or b""
    if part.get_content_disposition() != "attachment" and kind in ("text/plain", "text/html") and not name:
        text = _decoded(data, part.get_content_charset())
        if kind == "text/html":
            mail.html += text
        else:
            mail.plain += f"{text}\n"
    elif data:
        suffix = {"text/html": ".html", "text/plain": ".txt", "text/calendar": ".ics"}.get(kind, "")
        mail.attachments.append((name or f"part {len(mail.attachments) + 1}{suffix}", kind, data))


def _outlook(source: Source) -> _Mail:
    """Return a message of Outlook."""
    from oxmsg import Message

    message = Message.load(str(source.path))
    people = ", ".join(
        f"{each.name} <{each.email_address}>" if each.name != each.email_address else each.name
        for each in message.recipients
    )
    sent = message.sent_date.isoformat(" ", "seconds") if message.sent_date else ""
    mail = _Mail({"From": message.sender or "", "To": people, "Date": sent, "Subject": message.subject or ""})
    mail.fields = {name: " ".join(clean_text(value).split()) for name, value in mail.fields.items()}
    mail.plain, mail.html = clean_text(message.body or ""), message.html_body or ""
    for number, each in enumerate(message.attachments, 1):
        if each.file_bytes:
            mail.attachments.append((each.file_name or f"part {number}", each.mime_type or "", each.file_bytes))
    return mail


def _field(message: Any, name: str) -> str:
    try:
        value = message.get(name)
    except (ValueError, IndexError, AttributeError, TypeError, LookupError):
        # The standard library fails on some fields that are not well-formed.
        value = dict(message.raw_items()).get(name)
    return " ".join(clean_text(str(value or "")).split())


def _attachment_name(part: Any) -> str:
    try:
        name = part.get_filename() or ""
    except (ValueError, IndexError, AttributeError, TypeError, LookupError):
        return ""
    return " ".join(clean_text(name).replace("#", "_").split())


def _decoded(data: bytes, charset: str | None) -> str:
    for encoding in (charset, "utf-8"):
        try:
            return clean_text(data.decode(encoding or "utf-8"))
        except (UnicodeDecodeError, LookupError):
            continue
    return clean_text(data.decode("cp1252", "replace"))


def _iso(date: str) -> str | None:
    """Return a date of a mail in ISO 8601, or None if it is not well-formed."""
    try:
        return parsedate_to_datetime(date).isoformat()
    except (ValueError, TypeError, IndexError):
        pass
    try:
        return datetime.fromisoformat(date).isoformat()
    except ValueError:
        return None


def _marked(markup: str) -> str:
    """Return HTML with a line above each quoted reply."""
    import lxml.html
    from lxml.builder import E

    tree, _ = parse_html(markup)
    if tree is None:
        return markup
    for quote in tree.xpath(_QUOTES):
        if quote.getparent() is not None:
            quote.addprevious(E.p("Quoted message:"))
    marked: str = lxml.html.tostring(tree, encoding="unicode")
    return marked


def _words(text: str) -> int:
    return sum(map(len, re.findall(r"\w+", text)))

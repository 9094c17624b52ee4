"""Mails: fields, the fuller of their bodies, quoted replies and attachments, each read by its own loader."""

from email.message import EmailMessage
from pathlib import Path

import openpyxl

from ragkit.documents import Issue, load
from ragkit.records import Document


def read(path):
    items = load(path)
    return [item for item in items if isinstance(item, Document)], [item for item in items if isinstance(item, Issue)]


def mail(text="The dock closes on Thursday.", subject="Dock closing – Überholung"):
    message = EmailMessage()
    message["From"] = "Ann <ann@example.org>"
    message["To"] = "all@example.org"
    message["Date"] = "Wed, 04 Oct 2023 09:27:45 -0500"
    message["Subject"] = subject
    message.set_content(text)
    return message


def save(message, path):
    path.write_bytes(message.as_bytes())
    return path


def test_fields_and_body_are_one_document(tmp_path):
    (document,), issues = read(save(mail("The café opens.\n\n> When?"), tmp_path / "a.eml"))
    assert not issues
    assert document.title == "Dock closing – Überholung"
    assert document.text == (
        "From: Ann <ann@example.org>\nTo: all@example.org\nDate: Wed, 04 Oct 2023 09:27:45 -0500\n"
        "Subject: Dock closing – Überholung\n\nThe café opens.\n\n> When?"
    )
    assert document.metadata["date"] == "2023-10-04T09:27:45-05:00"
    assert document.media_type == "message/rfc822"


def test_html_is_the_body_if_the_plain_text_is_a_stub_and_its_quotes_are_marked(tmp_path):
    message = mail("Open this mail in a browser.")
    message.add_alternative(
        "<html><body><p>The ferry to Sandholm leaves at seven in the morning from pier four, and returns at noon.</p>"
        "<blockquote><p>When does the ferry leave, and from where does it leave on Sundays?</p></blockquote>"
        "</body></html>",
        subtype="html",
    )
    (document,), issues = read(save(message, tmp_path / "a.eml"))
    assert not issues
    assert "leaves at seven" in document.text
    assert "Open this mail" not in document.text
    assert document.text.index("Quoted message:") < document.text.index("When does the ferry leave")


def test_attachments_are_documents_of_their_own_and_unreadable_ones_are_named(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["Pier", "Depth"])
    book.active.append(["four", 3.5])
    book.save(tmp_path / "depth.xlsx")
    message = mail()
    for name in ("note.txt", "note.txt"):
        message.add_attachment(f"This is {name}.".encode(), maintype="text", subtype="plain", filename=name)
    message.add_attachment(
        (tmp_path / "depth.xlsx").read_bytes(), maintype="application", subtype="octet-stream", filename="../depth.xlsx"
    )
    message.add_attachment(b"\0\1\2", maintype="application", subtype="octet-stream", filename="blob.bin")
    message.add_attachment(b"\x89PNG\r\n\x1a\n", maintype="image", subtype="png", filename="logo.png")
    path = save(message, tmp_path / "a.eml")
    documents, (issue,) = read(path)
    assert [each.source.removeprefix(str(path)) for each in documents] == [
        *("", "#note.txt", "#note.txt (2)", "#../depth.xlsx")
    ]
    assert {each.origin for each in documents} == {str(path)}
    assert len({each.id for each in documents}) == 4
    assert documents[3].unit_at(documents[3].text.index("four")).label == "Sheet!A1:B2"
    assert "Attachments: note.txt, note.txt, ../depth.xlsx, blob.bin, logo.png" in documents[0].text
    assert (issue.kind, issue.origin) == ("member_refused", str(path))
    assert issue.detail.startswith("blob.bin: It is a binary file")


def test_mails_in_mails_are_read_to_a_limited_depth(tmp_path):
    message = mail("Innermost.", "Level 5")
    for level in range(4, -1, -1):
        outer = mail(f"At level {level}.", f"Level {level}")
        outer.add_attachment(message)
        message = outer
    documents, issues = read(save(message, tmp_path / "a.eml"))
    assert [each.title for each in documents] == [f"Level {level}" for level in range(4)]
    assert [issue.kind for issue in issues] == ["member_refused"]
    assert "nested more than 3" in issues[0].detail


def test_a_body_in_an_unknown_encoding_is_read(tmp_path):
    data = b"From: a@example.org\nSubject: x\nContent-Type: text/plain; charset=nonsense\n\nThe caf\xe9 opens.\n"
    (tmp_path / "a.eml").write_bytes(data)
    (document,), _ = read(tmp_path / "a.eml")
    assert document.text.endswith("The café opens.")


def test_what_is_no_mail_is_refused(tmp_path):
    (tmp_path / "a.eml").write_text("Just some words.\n")
    documents, (issue,) = read(tmp_path / "a.eml")
    assert not documents
    assert issue.kind == "refused"
    assert Path(issue.origin).name == "a.eml"

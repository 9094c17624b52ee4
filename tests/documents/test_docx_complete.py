"""A DOCX file is complete only if all text that a reader sees came out."""

import zipfile

import docx
import pytest
from docx.oxml import parse_xml
from lxml import etree

from ragkit.documents import Issue, load
from ragkit.documents.docx_text import visible_text
from ragkit.records import Document

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
RUN = "<w:r><w:t>Staff may take 26 days of leave.</w:t></w:r>"


def read(tmp_path, xml):
    document = docx.Document()
    document.add_paragraph("A first paragraph of the policy.")
    document.element.body.insert(0, parse_xml(xml))
    document.save(tmp_path / "policy.docx")
    return load(tmp_path / "policy.docx")


@pytest.mark.parametrize(
    "xml",
    [
        f"<w:p {W}>{RUN}</w:p>",
        f"<w:sdt {W}><w:sdtContent><w:p>{RUN}</w:p></w:sdtContent></w:sdt>",
        f'<w:p {W}><w:ins w:id="1" w:author="A">{RUN}</w:ins></w:p>',
        f'<w:p {W}><w:moveTo w:id="1" w:author="A">{RUN}</w:moveTo></w:p>',
        f'<w:p {W}><w:smartTag w:uri="x" w:element="y">{RUN}</w:smartTag></w:p>',
        f'<w:p {W}><w:fldSimple w:instr="DOCPROPERTY x">{RUN}</w:fldSimple></w:p>',
        f'<w:p {W}><w:unknown xmlns:w="urn:later">{RUN.replace("w:", "v:")}</w:unknown></w:p>'.replace(
            "<w:p ", '<w:p xmlns:v="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
        ),
    ],
    ids=["plain", "content control", "insertion", "moved text", "smart tag", "field", "unknown element"],
)
def test_text_is_read_wherever_it_stands(tmp_path, xml):
    (document,) = read(tmp_path, xml)
    assert document.text == "Staff may take 26 days of leave.\n\nA first paragraph of the policy."


def test_deleted_text_is_neither_read_nor_reported(tmp_path):
    deleted = '<w:del w:id="1" w:author="A"><w:r><w:delText>Nobody may leave.</w:delText></w:r></w:del>'
    (document,) = read(tmp_path, f"<w:p {W}>{RUN}{deleted}</w:p>")
    assert "Nobody" not in document.text


def test_a_part_that_is_cut_off_is_reported_and_what_stands_before_the_cut_is_read(tmp_path):
    document = docx.Document()
    for number in range(50):
        document.add_paragraph(f"Paragraph {number} of the policy.")
    document.save(tmp_path / "whole.docx")
    with (
        zipfile.ZipFile(tmp_path / "whole.docx") as whole,
        zipfile.ZipFile(tmp_path / "cut.docx", "w") as cut,
    ):
        for name in whole.namelist():
            data = whole.read(name)
            cut.writestr(name, data[: len(data) // 2] if name == "word/document.xml" else data)
    items = load(tmp_path / "cut.docx")
    (text,) = [item.text for item in items if isinstance(item, Document)]
    assert "Paragraph 3 of" in text
    assert "Paragraph 49 of" not in text
    (issue,) = [item for item in items if isinstance(item, Issue)]
    assert issue.kind == "text_lost"
    assert "word/document.xml" in issue.detail


def test_the_count_of_the_self_check_has_all_text_but_deletions_fallbacks_and_the_code_of_fields():
    mc = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    root = etree.fromstring(
        f"<w:body {W} {mc}><w:p><w:r><w:t>one</w:t></w:r><w:del><w:r><w:delText>no</w:delText></w:r></w:del>"
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:t>no</w:t></w:r>'
        '<w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>two</w:t></w:r>'
        '<w:r><w:fldChar w:fldCharType="end"/><w:tab/><w:t>three</w:t><w:footnoteReference w:id="7"/></w:r></w:p>'
        "<mc:AlternateContent><mc:Choice><w:p><w:r><w:t>four</w:t></w:r></w:p></mc:Choice>"
        "<mc:Fallback><w:p><w:r><w:t>no</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent></w:body>"
    )
    text, notes = visible_text(root)
    assert text.split() == ["onetwo", "three", "four"]
    assert notes == {"footnotes": {"7"}}

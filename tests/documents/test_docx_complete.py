"""A DOCX file is complete only if all text that a reader sees came out."""

import docx
import pytest
from docx.oxml import parse_xml

from ragkit.documents import Issue, load

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
RUN = "<w:r><w:t>Staff may take 26 days of leave.</w:t></w:r>"


def issues(tmp_path, xml):
    document = docx.Document()
    document.add_paragraph("A first paragraph of the policy.")
    document.element.body.insert(0, parse_xml(xml))
    document.save(tmp_path / "policy.docx")
    return [item for item in load(tmp_path / "policy.docx") if isinstance(item, Issue)]


@pytest.mark.parametrize(
    "xml",
    [
        f"<w:sdt {W}><w:sdtContent><w:p>{RUN}</w:p></w:sdtContent></w:sdt>",
        f'<w:p {W}><w:ins w:id="1" w:author="A">{RUN}</w:ins></w:p>',
    ],
    ids=["content control", "tracked insertion"],
)
def test_text_that_is_not_read_is_reported_with_its_words(tmp_path, xml):
    (issue,) = issues(tmp_path, xml)
    assert issue.kind == "text_lost"
    assert "'26'" in issue.detail or "'staff'" in issue.detail


@pytest.mark.parametrize(
    "xml",
    [
        f"<w:p {W}>{RUN}</w:p>",
        f'<w:p {W}>{RUN}<w:del w:id="1" w:author="A"><w:r><w:delText>Nobody may leave.</w:delText></w:r></w:del></w:p>',
    ],
    ids=["plain", "tracked deletion"],
)
def test_text_that_is_read_or_deleted_is_not_reported(tmp_path, xml):
    assert issues(tmp_path, xml) == []

"""The pages of reports in a real Chromium: nothing is loaded, nothing is wider than a phone, axe-core finds nothing."""

import shutil
from dataclasses import replace

import pytest

from ragkit import Assistant
from ragkit.answering import AnswerOptions
from ragkit.evaluation import compare, evaluate
from ragkit.evaluation.compare_page import comparison_page
from ragkit.evaluation.page import report_page
from tests.evaluation.conftest import QUESTIONS
from tests.evaluation.test_compare import HOSTILE

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
axe = pytest.importorskip("axe_core_python.sync_playwright", reason="pip install axe-core-python")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@pytest.fixture(scope="module")
def pages(samples, tmp_path_factory):
    """Return the files of a report and a comparison; one answer in them is hostile."""
    runs = [
        evaluate(Assistant(samples, None, options=AnswerOptions(threshold=threshold)), QUESTIONS)
        for threshold in (0.0, 1.0)
    ]
    first = runs[0].outcomes[0]
    hostile = replace(first, text=f"{HOSTILE} {first.text}", unsupported=((0, len(HOSTILE)),))
    runs[0] = replace(runs[0], outcomes=(hostile, *runs[0].outcomes[1:]))
    folder = tmp_path_factory.mktemp("pages")
    texts = {"report": report_page(runs[0]), "comparison": comparison_page(compare(*runs))}
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report", "comparison"])
def test_page_is_safe_narrow_and_accessible(browser, pages, name, scheme):
    # The page's own policy would keep axe-core out, which is put into it.
    context = browser.new_context(color_scheme=scheme, viewport={"width": 360, "height": 700}, bypass_csp=True)
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append("dialog"))
    page.goto((pages / f"{name}.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert "<script>alert(1)</script>" in page.inner_text("main")
    assert len(asked) == 1
    found = axe.Axe().run(page)["violations"]
    assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found] == []
    context.close()


def test_question_opens_by_keyboard(browser, pages):
    page = browser.new_page()
    page.goto((pages / "report.html").as_uri())
    summary = page.locator("summary", has_text="world cup")
    summary.focus()
    page.keyboard.press("Enter")
    sync_api.expect(summary.locator("xpath=..").get_by_text("none is in the documents")).to_be_visible()
    page.close()

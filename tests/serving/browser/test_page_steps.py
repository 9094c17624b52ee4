"""Calls of tools and steps of plans on a phone: confirmed, followed again after a reload, and explained."""

import json
import shutil

from playwright.sync_api import expect

from ragkit.agents import ToolFile
from ragkit.models import ScriptedModel
from tests.serving.browser.conftest import PATIENCE, Visit
from tests.serving.browser.test_page_phone import PHONE

TOOLS = '''
def note(title: str) -> str:
    """Save a note with a title."""
    open({path!r}, "w").write(title)
    return "<img src=x onerror=\\"document.title='taken'\\"> saved " + "x" * 300


note.writes = True
'''
NOTE = json.dumps({"name": "note", "arguments": {"title": "<b>milk</b> " + "and eggs " * 30}})
PLAN = json.dumps(
    {
        "steps": [
            {"action": "find_passages", "arguments": ["last bus back"]},
            {"action": "extract_value", "arguments": ["When does the last bus back leave?", "s1"]},
            {"action": "answer", "arguments": ["s2"]},
        ]
    }
)


def reply(messages):
    last = messages[-1].content
    if "Request: " not in last:
        return PLAN if last.startswith("Question: ") else "The last bus back leaves at 23:10 [1]."
    if "Results:" in last:
        return "The note is saved."
    return '{"name": "none"}' if "Results of" in last else NOTE


def test_a_call_is_confirmed_and_the_steps_are_explained(tmp_path, serve, chromium, sample_index):
    shutil.copytree(sample_index, tmp_path / "indexes" / "observatory")
    (tmp_path / "tools.py").write_text(TOOLS.format(path=str(tmp_path / "note.txt")))
    tools = ToolFile.open(tmp_path / "tools.json", create=True)
    tools.add(str(tmp_path / "tools.py"))
    tools.save()
    models = (ScriptedModel(reply, window=100_000),)
    with serve(indexes=tmp_path / "indexes", models=models, tools=tmp_path / "tools.json") as url:
        context = chromium.new_context(base_url=url, reduced_motion="reduce", **PHONE)
        context.set_default_timeout(1000 * PATIENCE)
        context.add_init_script('localStorage[\'ragkit.prefs\'] ??= \'{"sometimes": false, "mode": "agent"}\'')
        page = context.new_page()
        seen = Visit(page, context, [], [])
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.goto("/")
        seen.ask("Save a note about milk.")
        box = page.get_by_role("group", name="Decide about note")
        expect(box).to_contain_text("<b>milk</b> and eggs")
        assert not (tmp_path / "note.txt").exists()
        page.reload()
        expect(box).to_contain_text("Allow this call?")
        seen.until("document.documentElement.scrollWidth <= innerWidth")
        box.get_by_role("button", name="Allow").click()
        answer = page.get_by_role("article", name="Answer").and_(page.locator("[data-message]"))
        expect(answer).to_contain_text("The note is saved.")
        assert (tmp_path / "note.txt").read_text().startswith("<b>milk</b>")
        answer.get_by_role("button", name="Why this answer").click()
        call = seen.panel.locator(".step").filter(has=page.get_by_text("note", exact=True))
        # Folded, until it is opened.
        expect(call.locator("pre")).to_be_hidden()
        call.locator("summary").click()
        expect(call.locator("pre")).to_contain_text("<img src=x onerror=")
        expect(call.locator("dd")).to_contain_text("<b>milk</b>")
        assert page.locator("img[src=x]").count() == 0
        seen.until("document.querySelector('#panel').scrollWidth <= innerWidth && document.title !== 'taken'")
        page.go_back()
        seen.choose(mode="plan")
        answer = seen.answer("When does the last bus back leave?")
        answer.get_by_role("button", name="Why this answer").click()
        step = seen.panel.locator(".step").filter(has_text="s2 = extract_value").last
        step.locator("summary").click()
        step.get_by_role("button").first.click()
        expect(seen.panel.locator("mark").first).to_be_visible()
        assert seen.complaints == []
        context.close()

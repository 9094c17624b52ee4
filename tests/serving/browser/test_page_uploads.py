"""Files and folders that are dropped, and files that need a password."""

import re

from fpdf import FPDF
from playwright.sync_api import expect

EMPTY = '{"sometimes": false, "collection": "empty", "mode": "quotes"}'


def drop(page, *paths):
    """Drop files and folders as the system's file manager does."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for step in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": step, "x": 600, "y": 300, "data": data})


def visit_empty(visit):
    """Visit a collection without documents, whatever other tests have left in it."""
    remove_all(visit(preferences=EMPTY))
    return visit(preferences=EMPTY)


def remove_all(seen):
    """Leave the collection empty for the next test."""
    seen.page.evaluate(
        """async () => {
          const { documents } = await (await fetch("/api/collections/empty/documents")).json();
          const url = ({ id }) => `/api/collections/empty/documents/${id}?whole_file=true`;
          for (const each of documents) await fetch(url(each), { method: "DELETE" });
        }"""
    )


def test_dropped_folder_is_read_with_its_folders(visit, tmp_path):
    folder = tmp_path / "trip"
    (folder / "letters").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("not meant")
    (folder / ".DS_Store").write_text("not meant")
    (folder / "plan.md").write_text("# Plan\n\nThe ferry leaves at 7:45.\n")
    for number in range(105):
        (folder / "letters" / f"{number}.txt").write_text(f"Letter {number} is from Vera.\n")
    (tmp_path / "lone.txt").write_text("A lone file.\n")
    seen = visit_empty(visit)
    page = seen.page
    drop(page, folder, tmp_path / "lone.txt")
    expect(page.get_by_text("107 added", exact=True)).to_be_visible()
    expect(page.get_by_text("2 hidden entries skipped.")).to_be_visible()
    expect(page.get_by_text("107 files, 107 passages.")).to_be_visible()
    expect(seen.answer("When does the ferry leave?")).to_contain_text("7:45")
    remove_all(seen)


def test_file_that_is_gone_is_told_apart_from_a_server_that_is(visit, tmp_path):
    here, gone = tmp_path / "here.md", tmp_path / "gone.md"
    for path in (here, gone):
        path.write_text(f"# {path.stem}\n\nText.\n")
    seen = visit_empty(visit)
    seen.page.evaluate(
        """() => {
          // The browser looks for the bytes only when it needs them.
          File.prototype.slice = new Proxy(File.prototype.slice, {
            apply(slice, file, given) {
              if (file.name !== "gone.md") return Reflect.apply(slice, file, given);
              const error = new DOMException("The file could not be found.", "NotFoundError");
              return { arrayBuffer: () => Promise.reject(error) };
            },
          });
        }"""
    )
    seen.page.locator("#files").set_input_files([here, gone])
    rows = seen.page.get_by_role("region", name="Uploads").get_by_role("listitem")
    expect(rows.nth(0)).to_contain_text("Added and ready to search.")
    expect(rows.nth(1)).to_contain_text("Rejected: The browser could not read it: The file could not be found.")
    remove_all(seen)


def test_password_is_asked_for_on_the_page(visit):
    def locked(name, secret):
        pdf = FPDF()
        pdf.set_encryption(owner_password="owner", user_password="sesame")
        pdf.add_page()
        pdf.set_font("Helvetica", size=12)
        pdf.cell(text=secret)
        return {"name": name, "mimeType": "application/pdf", "buffer": bytes(pdf.output())}

    seen = visit_empty(visit)
    page = seen.page
    cut = {"name": "cut.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 and no more"}
    files = [locked("vault.pdf", "The vault code is 4711."), cut, locked("safe.pdf", "The safe holds a ruby.")]
    page.locator("#files").set_input_files(files)
    expect(page.get_by_text("3 rejected", exact=True)).to_be_visible()
    rows = page.get_by_role("region", name="Uploads").get_by_role("listitem")
    assert "--password" not in rows.nth(0).inner_text()
    for password, told in (("guess", "none of the 1 passwords opens it"), ("sesame", "Added and ready to search.")):
        rows.nth(0).get_by_role("button", name="Enter password").click()
        dialog = page.get_by_role("dialog", name="Password for 2 files")
        field = dialog.get_by_label("Password")
        assert field.get_attribute("type") == "password"
        field.fill(password)
        page.keyboard.press("Enter")
        expect(rows.nth(0)).to_contain_text(told)
        expect(rows.nth(2)).to_contain_text(told)
    expect(rows.nth(1)).to_contain_text(re.compile("Rejected: .*damaged"))
    expect(page.get_by_text("2 added, 1 rejected", exact=True)).to_be_visible()
    answer = seen.answer("What is the vault code?")
    expect(answer).to_contain_text("4711")
    # The picture of a locked page needs the password, which is not kept: its text is shown instead.
    answer.locator(".sources button").first.click()
    expect(seen.panel.locator("mark")).to_contain_text("4711")
    expect(page.get_by_text("2 added, 1 rejected", exact=True)).to_be_visible()
    seen.complaints[:] = [said for said in seen.complaints if "404" not in said]
    remove_all(seen)

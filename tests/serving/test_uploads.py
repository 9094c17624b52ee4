"""Files put into a collection by the server: what becomes of each, what is shown of it, what is left on the disk."""

import asyncio
import hashlib
import io
import json
import re
import socket
import threading
import zipfile
from pathlib import Path

import pytest
import uvicorn
from fastapi.testclient import TestClient
from fpdf import FPDF

from ragkit.errors import IndexWriteError
from ragkit.serving.app import make_app
from ragkit.serving.context import ServeOptions
from ragkit.serving.failures import RequestError
from ragkit.serving.limits import Limits
from ragkit.serving.names import clean_name
from ragkit.serving.routes.jobs import jobs_of
from ragkit.serving.uploads import UploadLimits, Uploads
from tests.serving.conftest import until
from tests.serving.hostile import names

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"
TOKEN = {"Authorization": "Bearer the-owners-token"}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    indexes = tmp_path_factory.mktemp("serve") / "indexes"
    return make_app(
        ServeOptions(indexes=indexes, token="the-owners-token", models=("scripted",), limits=Limits(requests=100_000))
    )


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app, base_url="http://127.0.0.1:8000", headers=TOKEN) as opened:
        yield opened


@pytest.fixture
def docs(client, request):
    """The address of the documents of a new collection."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    assert client.post("/api/collections", json={"name": name}).status_code < 300
    return f"/api/collections/{name}/documents"


def folder(app, docs):
    return app.state.context.state / "uploads" / docs.split("/")[3]


def kept(app, docs):
    where = folder(app, docs)
    return sorted(path.name for path in where.iterdir()) if where.is_dir() else []


def upload(client, docs, *files):
    """Send files and return the events of their job."""
    sent = client.post(docs, files=[("files", file) for file in files])
    assert sent.status_code == 202, sent.text
    return events(client, sent.json()["job"])


def events(client, job):
    text = client.get(f"/api/jobs/{job}/events").text
    blocks = [block.split("\n") for block in text.strip().split("\n\n") if block != ":"]
    return [(first.removeprefix("event: "), json.loads(second.removeprefix("data: "))) for first, second in blocks]


def outcomes(told):
    return {data["name"]: data for kind, data in told if kind == "file"}


def stored(content, suffix):
    return hashlib.sha256(content).hexdigest() + suffix


def docx_of_nothing():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("word/none.xml", "<none/>")
    return out.getvalue()


def test_each_file_is_told_of_and_bad_ones_do_not_hurt_the_others(client, app, docs):
    manual = (SAMPLES / "telescope-manual.pdf").read_bytes()
    told = upload(
        client,
        docs,
        ("notes.md", b"# Mooring\n\nBoats moor at the eastern quay from April to October."),
        ("cut.pdf", manual[: len(manual) // 3]),
        ("empty.txt", b""),
        ("nothing.docx", docx_of_nothing()),
        ("photo.txt", b"\x89PNG\r\n\x1a\n" + b"\0" * 100),
        ("manual.pdf", manual),
        ("plain", b"The lighthouse keeper counts 212 steps."),
    )
    found = outcomes(told)
    assert {name: data["status"] for name, data in found.items()} == {
        "notes.md": "added",
        "cut.pdf": "refused",
        "empty.txt": "refused",
        "nothing.docx": "refused",
        "photo.txt": "refused",
        "manual.pdf": "added",
        "plain": "added",
    }
    for data in found.values():
        assert (data["reason"] != "") == (data["status"] == "refused")
    assert "0 bytes" in found["empty.txt"]["reason"]
    assert "picture" in found["photo.txt"]["reason"]
    assert found["empty.txt"]["hint"]
    kind, counts = told[-1]
    assert kind == "done"
    assert counts["added"] == 3
    assert counts["refused"] == 4
    progress = [data for kind, data in told if kind == "progress" and data["stage"] == "files"]
    assert [data["done"] for data in progress] == list(range(8))
    listed = client.get(docs).json()
    assert listed["total"] == 3
    assert {(d["name"], d["title"]) for d in listed["documents"]} >= {("notes.md", "Mooring"), ("plain", "plain")}
    assert len(kept(app, docs)) == 3
    assert stored(manual, ".pdf") in kept(app, docs)
    home = str(app.state.context.state.parent)
    assert home not in json.dumps([told, listed])
    hits = client.get(docs.replace("/documents", "/search"), params={"query": "steps of the lighthouse", "k": 2}).json()
    assert hits["hits"][0]["name"] == "plain"
    assert home not in json.dumps(hits)
    assert "uploads" not in json.dumps([told, listed, hits])


def texts(client, docs):
    """Return the text of each document by its name."""
    return {
        d["name"]: client.get(f"{docs}/{d['id']}/text").json()["text"] for d in client.get(docs).json()["documents"]
    }


def test_same_name_replaces(client, app, docs):
    old, new = b"The kiosk sells ice cream for two crowns.", b"The kiosk sells ice cream for three crowns."
    assert outcomes(upload(client, docs, ("kiosk.txt", old)))["kiosk.txt"]["status"] == "added"
    assert outcomes(upload(client, docs, ("kiosk.txt", old)))["kiosk.txt"]["status"] == "unchanged"
    assert kept(app, docs) == [stored(old, ".txt")]
    assert outcomes(upload(client, docs, ("kiosk.txt", new)))["kiosk.txt"]["status"] == "replaced"
    assert kept(app, docs) == [stored(new, ".txt")]
    assert texts(client, docs) == {"kiosk.txt": new.decode()}
    bad = outcomes(upload(client, docs, ("kiosk.txt", b"")))["kiosk.txt"]
    assert bad["status"] == "refused"
    assert kept(app, docs) == [stored(new, ".txt")], "what could not be read replaced what was there"


@pytest.mark.parametrize("together", [True, False])
def test_same_content_under_two_names_is_two_documents(client, app, docs, together):
    old, new = b"The mill opens at nine.", b"The mill opens at ten."
    files = [("mill.txt", old), ("copy.txt", old)]
    told = upload(client, docs, *files) if together else [one for file in files for one in upload(client, docs, file)]
    for data in outcomes(told).values():
        assert (data["status"], data["documents"]) == ("added", 1)
    assert kept(app, docs) == [stored(old, ".txt")]
    found = client.get(docs.replace("/documents", "/search"), params={"query": "When does the mill open?"}).json()
    assert len(found["hits"]) == 1
    assert outcomes(upload(client, docs, ("mill.txt", new)))["mill.txt"]["status"] == "replaced"
    assert texts(client, docs) == {"mill.txt": new.decode(), "copy.txt": old.decode()}
    assert kept(app, docs) == sorted([stored(old, ".txt"), stored(new, ".txt")])
    copy = next(d for d in client.get(docs).json()["documents"] if d["name"] == "copy.txt")
    assert client.delete(f"{docs}/{copy['id']}").json() == {"removed": 1}
    assert kept(app, docs) == [stored(new, ".txt")]


def test_copies_of_a_refused_file_are_refused(client, docs):
    broken = b"%PDF-1.4\nnothing of a PDF\n"
    told = upload(client, docs, ("a.pdf", broken), ("b.pdf", broken), ("x/a.pdf", broken))
    files = [data for kind, data in told if kind == "file"]
    assert [(data["name"], data["status"]) for data in files] == [
        ("a.pdf", "refused"),
        ("b.pdf", "refused"),
        ("a.pdf", "refused"),
    ]
    assert all(data["reason"] for data in files)
    assert told[-1][1]["refused"] == 3


def test_one_upload_with_a_name_twice_keeps_both(client, docs):
    told = upload(
        client, docs, ("a.txt", b"First letter."), ("x/a.txt", b"Second letter."), ("a.txt", b"First letter.")
    )
    names_told = [(data["name"], data["status"]) for kind, data in told if kind == "file"]
    assert names_told == [("a.txt", "added"), ("a (2).txt", "added"), ("a.txt", "unchanged")]


def test_removing_takes_the_file_too(client, app, docs):
    upload(client, docs, ("one.txt", b"One is a number."), ("rows.csv", b"name,age\nIda,41\nBo,7\n"))
    listed = client.get(docs).json()["documents"]
    assert len(kept(app, docs)) == 2
    one = next(d for d in listed if d["name"] == "one.txt")
    rows = [d for d in listed if d["name"] == "rows.csv"]
    assert len(rows) == 2
    assert client.delete(f"{docs}/{one['id']}").json() == {"removed": 1}
    assert client.delete(f"{docs}/{one['id']}").status_code == 404
    assert len(kept(app, docs)) == 1
    assert client.delete(f"{docs}/{rows[0]['id']}").json() == {"removed": 1}
    assert len(kept(app, docs)) == 1, "the other row is from this file"
    assert client.delete(f"{docs}/{rows[1]['id']}", params={"whole_file": True}).json() == {"removed": 1}
    assert kept(app, docs) == []
    assert client.get(docs).json()["total"] == 0


def test_document_of_the_command_line_stays_on_the_disk(client, app, docs, tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("The owner put this in from the command line.")
    ctx = app.state.context
    owner = ctx.people.by_token("the-owners-token")
    ctx.collections.open(docs.split("/")[3], owner, "write").index.add(path)
    twin = outcomes(upload(client, docs, ("mine.txt", path.read_bytes())))["mine.txt"]
    assert twin["status"] == "added"
    own, mine = sorted(client.get(docs).json()["documents"], key=lambda d: d["name"], reverse=True)
    assert (own["name"], mine["name"]) == ("own.txt", "mine.txt")
    assert client.delete(f"{docs}/{own['id']}").json() == {"removed": 1}
    assert path.exists()
    assert texts(client, docs) == {"mine.txt": path.read_text()}


def test_hostile_names_stay_in_the_folder_and_look_harmless(client, app, docs):
    before = {path for path in app.state.context.state.parent.parent.rglob("*") if "uploads" not in path.parts}
    parts, given = [], names()
    for number, name in enumerate(given):
        written = name.encode("utf-8", "surrogatepass").replace(b'"', b'\\"')
        written = written.replace(b"\r", b"%0D").replace(b"\n", b"%0A").replace(b"\0", b"%00")
        header = b'--B\r\nContent-Disposition: form-data; name="files"; filename="' + written + b'"\r\n\r\n'
        parts.append(header + b"" if number % 2 else header + f"note {number}".encode())
    body = b"\r\n".join([*parts, b"--B--\r\n"])
    sent = client.post(docs, content=body, headers={"Content-Type": "multipart/form-data; boundary=B"})
    assert sent.status_code == 202, sent.text
    told = [data for kind, data in events(client, sent.json()["job"]) if kind == "file"]
    assert len(told) == 300
    listed = client.get(docs, params={"limit": 1000}).json()["documents"]
    assert len(listed) == sum(data["status"] in ("added", "replaced") for data in told)
    assert len(listed) > 100
    for name in [*(data["name"] for data in told), *(document["name"] for document in listed)]:
        plain = re.sub(r" \(\d+\)(?=\.[a-z]+$|$)", "", name)
        assert plain == clean_name(plain)
        assert not set(name) & set("/\\\x00\n\r\u202e\u2066\u2028")
    for name in kept(app, docs):
        assert len(name.partition(".")[0]) == 64
        assert name.replace(".", "").isalnum()
    after = {path for path in app.state.context.state.parent.parent.rglob("*") if "uploads" not in path.parts}
    index = app.state.context.state.parent / docs.split("/")[3]
    assert {
        path for path in after - before if index not in path.parents and not path.name.startswith("serving")
    } == set()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=B", b""),
        ("multipart/form-data; boundary=B", b"--B--\r\n"),
        ("multipart/form-data; boundary=B", b'--B\r\nContent-Disposition: form-data; name="x"\r\n\r\nv\r\n--B--\r\n'),
        ("multipart/form-data; boundary=B", b'--B\r\nContent-Disposition: form-data; filename="a"\r\n\r\nbroken o'),
        ("multipart/form-data; boundary=B", b"--B\r\n: \x00\xff\r\n\r\nx\r\n--B--\r\n"),
        ("multipart/form-data; boundary=" + "B" * 300, b"--B--\r\n"),
    ],
)
def test_body_that_is_no_upload_is_refused(client, app, docs, kind, body):
    sent = client.post(docs, content=body, headers={"Content-Type": kind})
    assert sent.status_code == 400
    assert sent.json()["error"]["hint"]
    assert list((app.state.context.state / "uploads" / ".incoming").iterdir()) == []


def multipart(*files):
    parts = [b'--B\r\nContent-Disposition: form-data; filename="' + name + b'"\r\n\r\n' + data for name, data in files]
    return b"\r\n".join([*parts, b"--B--\r\n"])


def received(uploads, body, step=1 << 16):
    async def pieces():
        for start in range(0, len(body), step):
            yield body[start : start + step]

    return asyncio.run(uploads.receive("multipart/form-data; boundary=B", pieces()))


def test_limits_of_files_and_of_the_whole(tmp_path):
    uploads = Uploads(tmp_path, UploadLimits(file_bytes=100, whole_bytes=2000, files=3))
    large, small = received(uploads, multipart((b"large.txt", b"x" * 101), (b"small.txt", b"x" * 100)))
    assert (large.path, large.size) == (None, 101)
    assert small.path.read_bytes() == b"x" * 100
    uploads.discard([large, small])
    for body in (multipart((b"a", b"x" * 2000)), multipart(*[(b"a", b"x")] * 4)):
        with pytest.raises(RequestError) as refused:
            received(uploads, body)
        assert refused.value.status == 413
    assert list((tmp_path / ".incoming").iterdir()) == []


def test_body_in_single_bytes_is_the_same(tmp_path):
    uploads = Uploads(tmp_path)
    body = multipart((b"a.txt", b"line\r\n-B no border\r\n--"), (b"b.txt", b""))
    whole, single = received(uploads, body), received(uploads, body, step=1)
    assert [(u.name, u.stored, u.size) for u in whole] == [(u.name, u.stored, u.size) for u in single]
    assert whole[0].path.read_bytes() == single[0].path.read_bytes() == b"line\r\n-B no border\r\n--"


def test_upload_that_is_cut_leaves_nothing(app, client, docs):
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    incoming = app.state.context.state / "uploads" / ".incoming"
    body = multipart((b"a.txt", b"whole"), (b"b.txt", b"x" * 200_000))
    head = (
        f"POST {docs} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {TOKEN['Authorization']}\r\n"
        f"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(listening.getsockname()) as sending:
        sending.sendall(head.encode() + body[:150_000])
        until(lambda: len(list(incoming.iterdir())) == 2)
    until(lambda: not list(incoming.iterdir()))
    server.should_exit = True
    thread.join()
    assert client.get(docs).json()["total"] == 0
    assert kept(app, docs) == []


def test_job_goes_on_when_nobody_follows_it(client, docs):
    sent = client.post(docs, files=[("files", ("a.txt", b"The tide turns at noon."))])
    job = sent.json()["job"]
    until(lambda: client.get(f"/api/jobs/{job}").json()["state"] == "done")
    state = client.get(f"/api/jobs/{job}").json()
    assert state["result"]["added"] == 1
    assert state["files"][0]["name"] == "a.txt"
    assert client.get("/api/jobs/none").status_code == 404


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("the disk is upside down"), "Internal error"),
        (IndexWriteError("/srv/x is full."), "The collection is not writable."),
    ],
)
def test_job_that_crashes_leaves_its_error_in_the_log(app, docs, caplog, error, said):
    def crash(job):
        raise error

    jobs = app.state.context.part(jobs_of)
    job = jobs.start(docs.split("/")[3], "owner", crash)
    until(lambda: job.ended)
    message = job.to_dict()["error"]["message"]
    assert message.startswith(said)
    assert str(error) not in message
    assert str(error) in caplog.text
    assert message.removeprefix("Internal error ").rstrip(".") in caplog.text or isinstance(error, IndexWriteError)


def test_rights_are_asked_for_at_each_file(client, app, docs):
    people, collection = app.state.context.people, docs.split("/")[3]
    for name, right in {"reader": "read", "writer": "write", "stranger": None}.items():
        token = people.add(f"{name} {collection}", {collection: right} if right else {})
        headers = {"Authorization": f"Bearer {token}"}
        sent = client.post(docs, files=[("files", (f"{name}.txt", name.encode()))], headers=headers)
        assert sent.status_code == {"read": 403, "write": 202, None: 404}[right]
        if right == "write":
            job = sent.json()["job"]
            assert client.get(f"/api/jobs/{job}", headers=headers).status_code == 200
        elif right is None:
            assert client.get(docs, headers=headers).json() == sent.json()
        assert client.delete(f"{docs}/x", headers=headers).status_code == {"read": 403, "write": 404, None: 404}[right]
    reader = people.add(f"other {collection}", {collection: "read"})
    assert client.get(f"/api/jobs/{job}", headers={"Authorization": f"Bearer {reader}"}).status_code == 404
    assert client.get(f"/api/jobs/{job}").status_code == 200


def test_right_that_is_taken_away_ends_the_job(app, client, docs):
    from ragkit.serving.routes.jobs import intake_of

    ctx, collection = app.state.context, docs.split("/")[3]
    token = ctx.people.add(f"leaver {collection}", {collection: "write"})
    opened = ctx.collections.open(collection, ctx.people.by_token(token), "write")
    intake, told = ctx.part(intake_of), []
    files = received(intake.uploads, multipart(*[(b"%d.txt" % n, b"Note %d." % n) for n in range(30)]))

    def emit(kind, data):
        told.append((kind, data))
        if kind == "file" and data["name"] == "0.txt":
            ctx.people.grant(f"leaver {collection}", collection, "read")

    with pytest.raises(RequestError) as refused:
        intake.add(opened, files, emit, ctx.ending)
    assert refused.value.status == 403
    # Small files go in together, 25 at a time.
    assert [data["name"] for kind, data in told if kind == "file"] == [f"{n}.txt" for n in range(25)]
    assert client.get(docs).json()["total"] == 25
    assert list((ctx.state / "uploads" / ".incoming").iterdir()) == []


def test_list_is_searched_and_paged(client, docs):
    upload(client, docs, *[(f"log {n}.txt", f"Entry {n} of the log.".encode()) for n in range(5)])
    assert client.get(docs, params={"query": "LOG 3"}).json()["documents"][0]["name"] == "log 3.txt"
    page = client.get(docs, params={"limit": 2, "offset": 3}).json()
    assert page["total"] == 5
    assert [d["name"] for d in page["documents"]] == ["log 3.txt", "log 4.txt"]


def test_locked_pdf_is_read_with_its_password_which_is_not_kept(client, app, docs):
    pdf = FPDF()
    pdf.set_encryption(owner_password="owner", user_password="sésame")
    pdf.add_page()
    pdf.set_font("Helvetica", size=12)
    pdf.cell(text="The vault code is 4711.")
    locked = ("locked.pdf", bytes(pdf.output()), "application/pdf")
    plain = ("plain.md", b"# Plain\n\nNothing to hide.\n", "text/markdown")

    def send(password=None):
        data = {} if password is None else {"password": [password, "another"]}
        sent = client.post(docs, files=[("files", locked), ("files", plain)], data=data)
        assert sent.status_code == 202, sent.text
        assert "sésame" not in client.get(f"/api/jobs/{sent.json()['job']}").text
        return outcomes(events(client, sent.json()["job"]))

    first = send()
    assert (first["locked.pdf"]["status"], first["locked.pdf"]["locked"]) == ("refused", True)
    assert "--" not in first["locked.pdf"]["hint"]
    assert (first["plain.md"]["status"], first["plain.md"]["locked"]) == ("added", False)
    wrong = send("guess")
    assert (wrong["locked.pdf"]["status"], wrong["locked.pdf"]["locked"]) == ("refused", True)
    right = send("sésame")
    assert (right["locked.pdf"]["status"], right["locked.pdf"]["locked"]) == ("added", False)
    state = app.state.context.state.parent
    assert not [path for path in state.rglob("*") if path.is_file() and "sésame".encode() in path.read_bytes()]

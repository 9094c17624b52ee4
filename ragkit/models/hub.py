"""Models of the Hugging Face Hub: files to download, requirements, and installed models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from ragkit._hub import Downloaded, HubFile, HubName, Repository, all_downloaded, downloaded, parse_name
from ragkit._hub_client import BytesCallback, download, missing_bytes, repository
from ragkit._machine import memory
from ragkit.errors import ModelFileError, ModelNotFoundError

PREFERRED = ("Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q5_K_S", "Q8_0", "Q6_K", "IQ4_XS", "Q4_1", "Q3_K_M", "BF16", "F16")
"""Quantisations in order of preference, if none is named."""
_QUANTISATION = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?I?Q\d(?:_[A-Z0-9]+)*|BF16|FP?16|FP?32|MXFP4)(?![A-Za-z0-9])", re.I
)
_PART = re.compile(r"-(\d{5})-of-(\d{5})(?=\.gguf$)", re.I)
_OVERHEAD = 400_000_000
"""Bytes that llama.cpp takes beside the weights and their share for the context, roughly."""


@dataclass(frozen=True, slots=True)
class PullPlan:
    """The files that a pull downloads, and whether this machine can run the model."""

    name: str
    """Name that opens the model afterwards."""
    kind: Literal["language model", "embedding model or cross-encoder"]
    files: tuple[str, ...]
    bytes: int
    """Total size of the files."""
    download_bytes: int
    """Number of bytes to download."""
    memory_bytes: int
    """Memory that the model takes when it runs with a window of 8,192 tokens, estimated from its size."""
    machine_memory_bytes: int | None
    license: str | None
    gated: bool
    note: str = ""
    """Note on the chosen file, if the name left the choice open."""
    folder: str = ""

    @property
    def fits(self) -> bool:
        """Whether the machine has as much memory; True if its size is unknown."""
        return self.machine_memory_bytes is None or self.memory_bytes <= self.machine_memory_bytes


@dataclass(frozen=True, slots=True)
class HubPull:
    """A planned download."""

    plan: PullPlan
    repo: Repository
    files: tuple[HubFile, ...]

    def run(self, progress: BytesCallback | None = None) -> Path:
        """Download and check the files; return the first part of a GGUF model, or the folder of another.

        Raises:
            ModelError: see ``ragkit._hub_client.download``.
        """
        found = download(self.repo, self.files, progress)
        return found.path(self.files[0]) if self.plan.kind == "language model" else found.name.folder


def plan_pull(name: str) -> HubPull:
    """Ask the Hub what ``hf:OWNER/REPO[@REVISION][:FILE]`` needs; nothing is downloaded yet.

    Args:
        name: FILE is a GGUF file of the repository or a quantisation such as ``Q4_K_M``. Without it, a repository
            with GGUF files gives the usual quantisation, and another one its embedding model or cross-encoder.

    Raises:
        SettingsError: if the name has another form.
        ModelNotFoundError: if there is no such repository or file, or no model in it that ragkit runs.
        ModelAuthenticationError: if the repository is private.
        ModelUnavailableError: if the Hub can't be reached.
    """
    parsed = parse_name(name)
    bare = HubName(parsed.repo, parsed.revision)
    repo = repository(bare)
    ggufs = [file for file in repo.files if _is_model(file.path)]
    note = ""
    if ggufs:
        files, note = _choose_gguf(parsed, ggufs)
        kind: Literal["language model", "embedding model or cross-encoder"] = "language model"
    elif parsed.file:
        raise ModelNotFoundError(
            f"{bare} has no GGUF file, so not {parsed.file!r} either.", f"Name the repository: {bare}"
        )
    else:
        from ragkit.embedding.hub import model_files

        files, kind = model_files(repo), "embedding model or cross-encoder"
    size = sum(file.bytes for file in files)
    plan = PullPlan(
        name=str(parsed),
        kind=kind,
        files=tuple(file.path for file in files),
        bytes=size,
        download_bytes=missing_bytes(repo, files),
        memory_bytes=needed_memory(size),
        machine_memory_bytes=memory(),
        license=repo.license,
        gated=repo.gated,
        note=note,
        folder=str(bare.folder),
    )
    return HubPull(plan, repo, tuple(files))


def needed_memory(size: int) -> int:
    """Estimate the memory that a model needs from the size of its file, with a window of 8,192 tokens."""
    return size + size // 8 + _OVERHEAD


def hub_model_parts(name: str) -> list[tuple[Path, HubFile]]:
    """Return the files of a downloaded GGUF model, all parts in order, with their checksums.

    Raises:
        SettingsError: if the name has another form.
        ModelNotFoundError: if it was not downloaded.
        ModelFileError: if a part is missing.
    """
    parsed = parse_name(name)
    found = downloaded(HubName(parsed.repo, parsed.revision))
    ggufs = [file for file in found.files if _is_model(file.path)] if found else []
    if not found or not ggufs:
        raise ModelNotFoundError(f"The model {name} is not installed.", f"Get it: ragkit models pull {name}")
    try:
        files, _ = _choose_gguf(parsed, ggufs)
    except ModelNotFoundError as error:
        raise ModelNotFoundError(
            f"{error.message.replace('has no file', 'has no downloaded file')}", f"Get it: ragkit models pull {name}"
        ) from error
    for file in files:
        path = found.path(file)
        if not path.is_file() or path.stat().st_size != file.bytes:
            raise ModelFileError(
                f"{path} is missing or has the wrong size; expected {file.bytes:,} bytes.",
                f"Get it again: ragkit models pull {name}",
            )
    return [(found.path(file), file) for file in files]


def hub_models() -> list[tuple[str, Path, tuple[HubFile, ...]]]:
    """Return the downloaded GGUF models: the name that opens it, its file, and its parts in order. Uses no network."""
    models = []
    for entry in all_downloaded():
        ggufs = [file for file in entry.files if _is_model(file.path) and entry.path(file).is_file()]
        firsts = [file for file in ggufs if _part_number(file.path) <= 1]
        for file in firsts:
            parts = _parts(file, ggufs)
            if parts is not None:
                label = (quantisation(file.path) or file.path) if len(firsts) > 1 else None
                name = str(HubName(entry.name.repo, entry.name.revision, label))
                models.append((name, entry.path(file), parts))
    return models


def hub_folders() -> list[Downloaded]:
    """Return the downloaded embedding models and cross-encoders. Uses no network."""
    # Imported here: opening a language model needs no embedding runtime.
    from ragkit.embedding.hub import is_model_folder

    return [entry for entry in all_downloaded() if is_model_folder(entry)]


def _is_model(path: str) -> bool:
    name = PurePosixPath(path).name.lower()
    # Projectors of vision models and importance matrices are GGUF files too.
    return name.endswith(".gguf") and not name.startswith(("mmproj", "imatrix")) and "mmproj" not in name


def _choose_gguf(name: HubName, files: Sequence[HubFile]) -> tuple[tuple[HubFile, ...], str]:
    """Return the parts of the named model, or of the usual quantisation, and a note about the choice."""
    firsts = [file for file in files if _part_number(file.path) <= 1]
    note = ""
    if name.file is None:
        chosen = _usual(firsts)
        if len(firsts) > 1:
            label = quantisation(chosen.path) or chosen.path
            note = f"{label} is the usual choice of {len(firsts)} quantisations. To choose: hf:OWNER/REPO:QUANTISATION"
    else:
        wanted = name.file.lower()
        exact = [file for file in files if wanted in (file.path.lower(), PurePosixPath(file.path).name.lower())]
        same = exact or [file for file in firsts if quantisation(file.path).lower() == wanted]
        if not same:
            labels = sorted({quantisation(file.path) or file.path for file in firsts})
            raise ModelNotFoundError(
                f"{name.repo} has no file or quantisation {name.file!r}.", f"It has: {', '.join(labels)}."
            )
        chosen = same[0]
    parts = _parts(chosen, files)
    if parts is None:
        raise ModelNotFoundError(
            f"{name.repo} lacks parts of the split model {chosen.path}.", "Choose another quantisation or repository."
        )
    return parts, note


def _usual(files: Sequence[HubFile]) -> HubFile:
    ranks = {label: rank for rank, label in enumerate(PREFERRED)}
    return min(files, key=lambda file: (ranks.get(quantisation(file.path), len(ranks)), file.bytes, file.path))


def quantisation(path: str) -> str:
    """Return the quantisation that a file's name ends in, such as ``Q4_K_M``; empty if it names none."""
    found = _QUANTISATION.findall(_PART.sub("", PurePosixPath(path).stem))
    return found[-1].upper().replace("FP16", "F16") if found else ""


def _part_number(path: str) -> int:
    match = _PART.search(path)
    return int(match[1]) if match else 0


def _parts(file: HubFile, files: Sequence[HubFile]) -> tuple[HubFile, ...] | None:
    """Return all parts of the model that a file belongs to, or None if one is missing."""
    match = _PART.search(file.path)
    if match is None:
        return (file,)
    by_path = {other.path: other for other in files}
    start, end = file.path[: match.start()], file.path[match.end() :]
    names = [f"{start}-{number:05d}-of-{match[2]}{end}" for number in range(1, int(match[2]) + 1)]
    return tuple(by_path[name] for name in names) if all(name in by_path for name in names) else None

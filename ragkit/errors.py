"""Every error that ragkit raises on purpose.

    RagkitError
    ├── SettingsError             a setting or argument is wrong
    ├── MissingExtraError         an optional package is not installed
    ├── ProcessStartError         a child process can't be started
    ├── DocumentError             a file can't be read
    │   ├── UnsupportedFileError      no loader for this content
    │   ├── UnreadableFileError       damaged, empty, mislabelled, or no permission
    │   ├── EncryptedFileError        needs a password, or another one
    │   └── ParserLimitError          the parser exceeded its time or memory limit
    ├── EmbeddingError            an embedding model can't be loaded or run
    ├── StoreError                an index on disk
    │   ├── IndexNotFoundError        no index at that path
    │   ├── IndexExistsError          there is an index at that path already
    │   ├── IndexLockedError          another process is writing
    │   ├── IndexDamagedError         a file fails its checksum
    │   ├── IndexMismatchError        made with another model or dimension
    │   ├── IndexClosedError          used after close()
    │   ├── IndexChangedError         changed while it was being read (worth a retry)
    │   ├── RemovalRefusedError       a sync would remove most of the documents
    │   ├── BackendError              a vector store can't be reached or refuses a request
    │   ├── BackendStaleError         a vector store and the index are at different commits
    │   ├── BackupError               a backup can't be made, read or restored
    │   └── IndexWriteError           disk full, folder not writable
    ├── QueryError                a query or filter that can't be run
    ├── ExamplePoolError          examples that can't be read, or too few to choose from
    ├── DataError                 generated data that can't be read, written or made
    ├── TaskError                 a task that can't be fitted, or no task in a folder
    ├── ToolError                 a tool or its source is invalid, or a call can't be made
    ├── PlanError                 a plan is invalid or can't be run
    ├── PromptError               a prompt that can't be built
    │   ├── TemplateError             a template is missing or names an unknown field
    │   └── PromptOverflowError       the required parts of the prompt don't fit the window
    └── ModelError                a language model
        ├── ModelNotFoundError        not installed, or no such file or name
        ├── ModelFileError            truncated, damaged, or the wrong checksum
        ├── ModelOutputError          output that violates the requested schema
        ├── ModelBudgetError          the budget of tokens, money or calls is exhausted
        ├── ModelChainError           every model of a chain failed
        ├── ModelStoppedError         a call that was stopped by the caller
        └── ModelRequestError         an endpoint refused or failed
            ├── ModelTimeoutError         it took too long (worth a retry)
            ├── ModelRateLimitError       too many requests (worth a retry)
            ├── ModelUnavailableError     unreachable or a server error (worth a retry)
            └── ModelAuthenticationError  the key is missing or refused

Each error says what happened, with the values, and in ``hint`` the command or argument that fixes it.
"""

from __future__ import annotations

from typing import Any


class RagkitError(Exception):
    """Base of every error ragkit raises on purpose.

    Args:
        message: what happened, with the values.
        hint: the command or argument that fixes it.
    """

    exit_code = 1
    """Exit code of the command line."""
    retry = False
    """Whether the same call may succeed later."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class SettingsError(RagkitError):
    """A setting or argument is wrong."""

    exit_code = 2


class MissingExtraError(RagkitError):
    """An optional package is not installed.

    Args:
        package: the import that failed.
        extra: the ragkit extra that installs it.
        purpose: purpose of the package, as in "to run local models".
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{package} is not installed; it is needed {purpose}.",
            f"Install it: pip install 'ragkit[{extra}]'",
        )


class ProcessStartError(RagkitError):
    """A child process can't be started, or ended before it was ready."""


class DocumentError(RagkitError):
    """A file can't be read."""


class UnsupportedFileError(DocumentError):
    """No loader supports this content."""


class UnreadableFileError(DocumentError):
    """The file is damaged, empty, mislabelled, or not readable."""


class EncryptedFileError(DocumentError):
    """The file needs a password, or another one."""


class ParserLimitError(DocumentError):
    """The parser exceeded its time or memory limit."""


class EmbeddingError(RagkitError):
    """An embedding model can't be loaded or run."""


class StoreError(RagkitError):
    """An index on disk can't be used."""


class IndexNotFoundError(StoreError):
    """There is no index at that path."""


class IndexExistsError(StoreError):
    """There is an index at that path already."""


class IndexLockedError(StoreError):
    """Another process is writing to the index."""

    exit_code = 5
    retry = True


class IndexDamagedError(StoreError):
    """A file of the index fails its checksum or can't be read."""

    exit_code = 4


class IndexMismatchError(StoreError):
    """The index was made with another embedding model or dimension."""


class IndexClosedError(StoreError):
    """The index was closed before this call."""


class IndexChangedError(StoreError):
    """The index was changed while it was being read; the same call succeeds when repeated."""

    retry = True


class RemovalRefusedError(StoreError):
    """A sync would remove most of the documents below its paths."""


class BackendError(StoreError):
    """A vector store outside of the index folder can't be reached, or refuses a request."""


class BackendStaleError(StoreError):
    """A vector store outside the index folder was derived from another commit than the current one."""

    exit_code = 4


class BackupError(StoreError):
    """A backup can't be made, read or restored."""


class IndexWriteError(StoreError):
    """The disk is full or the folder can't be written."""

    retry = True


class QueryError(RagkitError):
    """A query or filter that can't be run."""

    exit_code = 2


class ExamplePoolError(RagkitError):
    """Examples can't be read, or there are too few to choose from."""

    exit_code = 2


class DataError(RagkitError):
    """Generated data can't be read, written or made."""

    exit_code = 2


class TaskError(RagkitError):
    """A task can't be fitted, or a folder contains none."""


class ToolError(RagkitError):
    """A tool or its source is invalid, or a call can't be made."""


class PlanError(RagkitError):
    """A plan is invalid, or can't be run."""


class PromptError(RagkitError):
    """A prompt can't be built."""


class TemplateError(PromptError):
    """A template is missing or names an unknown field."""


class PromptOverflowError(PromptError):
    """The required parts of a prompt do not fit the model's window."""


class ModelError(RagkitError):
    """A language model can't be loaded or run."""

    given = 0
    """Number of characters of the reply that a chain of models returned before the error."""
    attempts: tuple[Any, ...] = ()
    """A ``ragkit.models.chain.route.Attempt`` for each model of a chain that was tried, in order; empty without a
    chain."""


class ModelNotFoundError(ModelError):
    """The model is not installed, or there is no such file or name."""


class ModelFileError(ModelError):
    """The model file is truncated, damaged, or has the wrong checksum."""


class ModelOutputError(ModelError):
    """The model's output violates the requested schema."""


class ModelBudgetError(ModelError):
    """The budget of tokens, money or calls is exhausted."""


class ModelChainError(ModelError):
    """Every model of a chain failed."""


class ModelStoppedError(ModelError):
    """The call was stopped by the caller before the complete prompt was evaluated."""


class ModelRequestError(ModelError):
    """An endpoint refused the request or failed."""

    retry_after: float | None = None
    """Seconds that the endpoint asks to wait before the next try; None if it does not."""


class ModelTimeoutError(ModelRequestError):
    """The endpoint took longer than the time limit."""

    retry = True


class ModelRateLimitError(ModelRequestError):
    """The endpoint rejects further requests for now."""

    retry = True


class ModelUnavailableError(ModelRequestError):
    """The endpoint can't be reached or answers with a server error."""

    retry = True


class ModelAuthenticationError(ModelRequestError):
    """The API key is missing or was refused."""

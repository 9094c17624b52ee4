"""Applies the ``.gitignore`` files of a folder as git does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_NAME = ".gitignore"


@dataclass(frozen=True, slots=True)
class GitIgnore:
    """The ``.gitignore`` files that apply to a folder."""

    specs: tuple[tuple[Path, GitIgnoreSpec], ...] = ()
    """Folder and patterns of each file, outermost first."""

    @classmethod
    def above(cls, folder: Path) -> Self:
        """Return the files of the repository that apply to ``folder``, without its own.

        Raises:
            OSError: if one can't be read.
        """
        lineage = [folder, *folder.parents]
        repository = next((parent for parent in lineage if (parent / ".git").exists()), None)
        if repository is None:
            return cls()
        own = cls()._with(repository, repository / ".git" / "info" / "exclude")
        for parent in reversed(lineage[1 : lineage.index(repository) + 1]):
            own = own.within(parent)
        return own

    def within(self, folder: Path) -> Self:
        """Return the rules for ``folder``, a descendant of the folders so far.

        Raises:
            OSError: if its file can't be read.
        """
        return self._with(folder, folder / _NAME)

    def ignores(self, path: Path, is_folder: bool) -> bool:
        """Return whether git would leave out a path whose parents it does not leave out."""
        for folder, spec in reversed(self.specs):
            relative = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
            verdict = spec.check_file(relative).include
            if verdict is not None:
                return verdict
        return False

    def _with(self, folder: Path, file: Path) -> Self:
        from pathspec import GitIgnoreSpec

        try:
            # Not splitlines(), which ends lines where git does not.
            lines = file.read_text("utf-8-sig", "surrogateescape").split("\n")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return self
        return type(self)((*self.specs, (folder, GitIgnoreSpec.from_lines(lines))))

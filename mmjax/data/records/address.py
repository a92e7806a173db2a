"""A folder on a local disk or at any address that fsspec knows: gs://, s3://, memory:// and more."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmjax.core import UserError


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder by its address. Errors of the storage behind it are the user's, in one line."""

    address: str

    @property
    def local(self) -> Path | None:
        """Where it lies on this machine, if it does."""
        return None if "://" in self.address else Path(self.address)

    def exists(self, name: str = "") -> bool:
        """Whether a file of this name is in it, or, without one, anything."""
        with self._told("looked into") as (system, path):
            return system.exists(f"{path}/{name}") if name else bool(system.exists(path) and system.ls(path))

    def data(self, name: str) -> bytes:
        """What a small file holds."""
        with self._told("read") as (system, path):
            return system.cat_file(f"{path}/{name}")

    def text(self, name: str) -> str:
        """What a small file of text says. ValueError where it is not UTF-8."""
        return self.data(name).decode("utf-8")

    def write(self, name: str, text: str) -> None:
        """Write a small file so that it is either the old one or the new one, never half of one."""
        with self._told("written to") as (system, path):
            system.makedirs(path, exist_ok=True)
            if self.local is None:  # a storage of objects shows a file only once it is whole
                system.pipe_file(f"{path}/{name}", text.encode("utf-8"))
                return
            part = self.local / f"{name}.part"
            part.write_text(text, encoding="utf-8")
            os.replace(part, self.local / name)

    def put(self, file: Path, name: str) -> None:
        """Move a finished local file here, whole or not at all."""
        with self._told("written to") as (system, path):
            if self.local is not None:
                os.replace(file, self.local / name)
                return
            system.put_file(str(file), f"{path}/{name}")
            file.unlink()

    def get(self, name: str, file: Path) -> None:
        """Copy a file to this machine, whole or not at all."""
        with self._told("read") as (system, path):
            part = file.with_name(f"{file.name}.{os.getpid()}.part")
            part.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(f"{path}/{name}", str(part))
            os.replace(part, file)

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[tuple[Any, str]]:
        """The file system and the path in it. Each kind of storage raises errors of its own."""
        import fsspec

        try:
            system, path = fsspec.core.url_to_fs(self.address)
            yield system, path.rstrip("/")
        except UserError:
            raise
        except (ImportError, OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{self.address} cannot be {what} ({reason[:160]})") from None

"""One run at a time in a folder: two would write over each other's checkpoints."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from mmjax.core import UserError

LOCK = ".lock"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make and hold ``folder`` until the context or the process ends, however it ends.

    The file stays, empty: to remove it would let in two runs that wait for different ones. Raises UserError
    where another run holds the folder, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a")
    except OSError as error:
        raise UserError(f"{folder} cannot be made a run folder: {error.strerror}; choose another --workdir") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another run is at work in {folder}; wait for it or choose another --workdir") from None
        except OSError:
            pass  # a file system without locks, where nobody can be kept out
        yield

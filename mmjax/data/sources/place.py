"""Where a file that the user names is to be found."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path

from mmjax.core import UserError


def shared() -> Path:
    """The folder of shared recordings: $MMJAX_DATA, or ``../shared/data`` beside the project's root."""
    named = os.environ.get("MMJAX_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[3].parent / "shared" / "data"


def find(path: str | os.PathLike[str]) -> Path:
    """The file: as given, or else under the shared folder. UserError names every place that was tried."""
    given = Path(path)
    places = [given] if given.is_absolute() else [given, shared() / given]
    for place in places:
        if place.is_dir():
            raise UserError(f"{place} is a folder; name the file in it")
        if place.is_file():
            if place.stat().st_size == 0:
                raise UserError(f"{given} is empty")
            return place
    where = "" if given.is_absolute() else f", neither here nor under {places[-1].parent} (MMJAX_DATA)"
    raise UserError(f"{given} does not exist{where}")


def nearest(wrong: str, known: Iterable[str]) -> str:
    """``; did you mean 'right'?`` for a slip of the keys, otherwise what there is to choose from."""
    known = [str(name) for name in known]
    close = difflib.get_close_matches(str(wrong), known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
    return f"; there is {shown}" if known else ""

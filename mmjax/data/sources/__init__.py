"""Where rows come from: manifests in four formats, arrays, and rows given by hand."""

from mmjax.data.sources.given import given
from mmjax.data.sources.manifest import read, select, spelled
from mmjax.data.sources.place import find, nearest, shared
from mmjax.data.sources.row import BadRow, Row, Rows, fatal
from mmjax.data.sources.source import Lazy, Source, taken

__all__ = [
    "BadRow",
    "Lazy",
    "Row",
    "Rows",
    "Source",
    "fatal",
    "find",
    "given",
    "nearest",
    "read",
    "select",
    "shared",
    "spelled",
    "taken",
]

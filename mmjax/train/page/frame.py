"""What stands around every page: no script, no address, the looks inside."""

from mmjax.train.page.markup import Markup, join, tag
from mmjax.train.page.sheet import SHEET

# Nothing is fetched and nothing runs, whatever the data holds.
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"


def frame(title: str, body: Markup, *, sheet: str = "") -> str:
    """A whole document. sheet: more of the looks, for this page alone."""
    head = join(
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} · mmjax"),
        tag("style", Markup(SHEET + sheet)),
    )
    return "<!doctype html>\n" + tag("html", tag("head", head), tag("body", tag("main", body)), lang="en") + "\n"

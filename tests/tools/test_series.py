"""The page of the GPT series says what the modules are."""

from tools import series


def test_the_page_is_what_the_modules_say():
    assert series.PAGE.read_text(encoding="utf-8") == series.page(), "run `python tools/series.py`"

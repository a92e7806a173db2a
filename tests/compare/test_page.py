"""The page: needs nothing else, runs nothing, takes nothing out of the data for markup."""

import itertools
import json
from html.parser import HTMLParser

import pytest

from mmjax.compare import listing, page, plot

NASTY = "\"><script>alert('x')</script><img src=x onerror=alert(1)> & [bold]$\\frac{$ 猫"


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_page_needs_nothing_else_and_runs_nothing(compared):
    text = (compared[1] / "compare.html").read_text(encoding="utf-8")
    found = Page(text)
    assert not [value for _, name, value in found.attributes if name in ("src", "href", "action", "srcset", "data")]
    assert "http://" not in text and "https://" not in text and "@import" not in text and "url(" not in text
    policies = [value for tag, name, value in found.attributes if (tag, name) == ("meta", "content")]
    assert any(policy.startswith("default-src 'none';") for policy in policies)
    assert found.tags.count("svg") == 4 and "script" not in found.tags


def test_page_shows_what_was_found(compared):
    found, _ = compared
    text = Page(page.render(found)).text
    for name, record in found["models"].items():
        assert name in text and f"{100 * record['accuracy']['value']:.1f} %" in text
    for heading in ("Accuracy", "Against bottleneck", "What it costs", "By what is given", "All figures"):
        assert heading in text


def test_nothing_out_of_the_data_is_markup(compared):
    found = json.loads(json.dumps(compared[0]))
    before = Page(page.render(found))
    spoilt = {f"{NASTY}{i}": record for i, record in enumerate(found["models"].values())}
    spoilt["majority"] = spoilt.pop(f"{NASTY}{list(found['models']).index('majority')}")
    found |= {"models": spoilt, "evaluation": NASTY, "head": NASTY, "workdir": NASTY.replace("/", "")}
    found["best"]["name"] = NASTY
    after = Page(page.render(found))
    assert sorted(set(before.tags)) == sorted(set(after.tags))
    assert not [name for _, name, _ in after.attributes if name.startswith("on")]


def test_failures_and_single_seeds_are_shown_too(compared):
    found = json.loads(json.dumps(compared[0]))
    for record in found["models"].values():
        record["seeds"] = {"accuracy": [0.5]}
    found["seeds"] = [0]
    found["models"]["late"] = {"kind": "fusion", "about": "x", "failed": "loss is nan"}
    found["best"] = None
    assert "failed: loss is nan" in Page(page.render(found)).text
    assert listing.tables(found)


def test_tables_are_whole_where_there_is_no_terminal(compared, capsys):
    listing.show(compared[0])
    out, err = capsys.readouterr()
    assert not out and "product of experts" in err and "…" not in err
    accuracy = compared[0]["models"]["late"]["accuracy"]
    told = f"{100 * accuracy['value']:.1f} ({100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f})"
    assert any("late" in line and told in line for line in err.splitlines())


def test_many_subsets_are_left_to_the_page(compared, capsys):
    found = json.loads(json.dumps(compared[0]))
    found["modalities"] = list("abcd")
    found["subsets"] = [*"abcd", *("a+b", "a+c", "a+d", "b+c", "b+d", "c+d"), "a+b+c+d"]
    found["models"]["late"]["subsets"] = dict.fromkeys(found["subsets"], found["models"]["late"]["subsets"]["a"])
    listing.show(found)
    err = capsys.readouterr().err
    assert "all 11 subsets are on the page" in err and "a+b+c+d" in err and "a+c" not in err
    assert "a+c" not in Page(page.render(found)).text  # there each modality has a label of its own


@pytest.mark.parametrize("low, high", [(0.0, 100.0), (71.2, 73.9), (-3.1, 0.2), (5.0, 5.0), (1e-9, 2e-9)])
def test_ticks_are_few_and_inside(low, high):
    found = plot.ticks(low, high)
    assert 1 <= len(found) <= 8 and all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    assert len({round(b - a, 12) for a, b in itertools.pairwise(found)}) <= 1


@pytest.mark.parametrize("low, high", [(1.0, 1.9), (0.3, 4e9), (20_000, 70_000), (1e-7, 2e-3)])
def test_powers_are_few_and_inside(low, high):
    found = plot.powers(low, high)
    assert len(found) <= 8 and all(low <= tick <= high for tick in found)


def test_values_as_in_a_recipe(experiment):
    assert listing.written(experiment.model.fusion) == "Bottleneck(width=8, depth=1, heads=2)"


def test_readme_table_has_every_model_and_marks_the_best(compared):
    found = compared[0]
    other = json.loads(json.dumps(found))
    del other["models"]["late"]
    text = listing.markdown({"one": found, "two": other})
    lines = [[cell.strip() for cell in line.strip("|\n ").split("|")] for line in text.splitlines()]
    told = f"{found['count']} rows, {len(found['seeds'])} seeds, {found['steps']} steps"
    assert lines[0][-2:] == [f"`one`: {told}", f"`two`: {told}"] and len({len(line) for line in lines[2:]}) == 1
    names = [line[0] for line in lines[2:]]
    assert names[:3] == ["majority", "best modality alone", *[n for n in names if "experts" in n][:1]]
    assert {"late", "bottleneck"} <= set(names) and next(line for line in lines if line[0] == "late")[
        2
    ] == "\N{EN DASH}"
    assert text.count("**") >= 4 and text.count("**") % 2 == 0

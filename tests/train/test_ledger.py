"""Every second of a run is on one account, also of a run that was killed and begun again."""

import json
import time

import jax
import jax.numpy as jnp
import pytest

import mmjax
from mmjax.core import UserError
from mmjax.train.ledger import ACCOUNTS, GOODPUT, Ledger
from mmjax.train.peak import peak


class Clock:
    """Stands still unless it is told how far to go."""

    now = 100.0

    def __call__(self):
        return self.now

    def go(self, seconds):
        self.now += seconds


def spend(ledger, clock, **seconds):
    for account, spent in seconds.items():
        with ledger.spent(account):
            clock.go(spent)


def test_every_second_is_on_one_account():
    clock = Clock()
    ledger = Ledger(clock=clock)
    clock.go(3)
    with ledger.spent("step"):
        clock.go(5)
        with ledger.spent("data"):
            clock.go(1)
        clock.go(2)
    spend(ledger, clock, evaluate=4, save=0.5)
    seconds = ledger.facts()["seconds"]
    assert seconds == {"init": 3, "compile": 0, "data": 1, "step": 7, "evaluate": 4, "save": 0.5, "lost": 0}
    assert ledger.facts()["goodput"] == pytest.approx(7 / 15.5, abs=1e-4)


def test_compilations_are_noticed_wherever_they_happen():
    with Ledger() as ledger, ledger.spent("step"):
        start = time.monotonic()
        # Traced inside of one another: the inner one's time is in the outer one's, and counts once.
        jax.jit(jax.jit(lambda x: (time.sleep(0.2), jnp.tanh(x) @ x)[1]))(jnp.ones((3, 3)))
        whole = time.monotonic() - start
    seconds = ledger.facts()["seconds"]
    assert 0.2 <= seconds["compile"] <= whole + 0.01
    assert sum(seconds.values()) == pytest.approx(whole, abs=0.05)


def test_what_a_kill_lost_is_told(tmp_path):
    clock = Clock()
    first = Ledger(clock=clock)
    first.resume(tmp_path, 0)
    spend(first, clock, step=10, data=1)
    first.done(10)
    first.saved(10)
    spend(first, clock, save=1, step=6)
    first.done(16)  # and here it was killed
    second = Ledger(clock=clock)
    clock.go(2)
    second.resume(tmp_path, 10)
    spend(second, clock, step=20)
    second.done(30)
    found = second.facts()
    assert found["seconds"] == {"init": 2, "compile": 0, "data": 1, "step": 30, "evaluate": 0, "save": 0, "lost": 7}
    assert (found["steps"], found["starts"]) == (30, 2)


def test_utilisation_is_of_the_time_in_steps():
    class Chip:
        device_kind = "NVIDIA H100 80GB HBM3"

    clock = Clock()
    ledger = Ledger(clock=clock)
    ledger.work(10**15, [Chip(), Chip()])
    spend(ledger, clock, step=4, data=100)
    ledger.done(2)
    assert ledger.facts()["flops_per_second"] == 10**15 // 2
    assert ledger.facts()["mfu"] == pytest.approx(0.5e15 / (2 * 989e12), abs=1e-4)
    assert peak("cpu") is None and peak("TPU v5 lite") != peak("TPU v5")


TRACED = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **facts: (
        TRACED.append(facts.get("fun_name")) if event.endswith("jaxpr_trace_duration") and seconds > 0.01 else None
    )
)


def test_a_run_tells_where_its_time_went(tiny, tmp_path):
    folder = tmp_path / "run"
    TRACED.clear()
    mmjax.train(tiny(run={"steps": 2}), workdir=folder, quiet=True)
    assert TRACED.count("init") == TRACED.count("step") == 1  # what is remembered takes no time
    first = json.loads((folder / GOODPUT).read_text())
    assert first["seconds"].keys() == set(ACCOUNTS) and first["seconds"]["lost"] == 0
    assert all(first["seconds"][account] > 0 for account in ("init", "compile", "data", "step", "evaluate", "save"))
    assert first["steps"] == 2 and first["flops_per_second"] > 0 and first["mfu"] is None
    begun = time.monotonic()
    mmjax.train(tiny(run={"steps": 4}), workdir=folder, quiet=True)
    seconds = time.monotonic() - begun
    second = json.loads((folder / GOODPUT).read_text())
    assert (second["steps"], second["starts"]) == (4, 2)
    grown = sum(second["seconds"].values()) - sum(first["seconds"].values())
    assert grown == pytest.approx(seconds, abs=0.5)
    report = json.loads((folder / "report.json").read_text())
    assert report["goodput"]["seconds"]["step"] == second["seconds"]["step"]
    assert "Where the time went" in (folder / "report.html").read_text()


def test_a_profile_of_some_steps(tiny, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(UserError, match="profile 3:9 is not within steps 1 to 4"):
        mmjax.train(tiny(run={"steps": 4}), workdir=folder, quiet=True, profile=(3, 9))
    assert not folder.exists()
    mmjax.train(tiny(run={"steps": 4}), workdir=folder, quiet=True, profile=(2, 3))
    traces = list((folder / "profile").rglob("perfetto_trace.json.gz"))
    assert len(traces) == 1 and traces[0].stat().st_size > 1000


def test_a_profile_wants_a_folder(tiny):
    with pytest.raises(UserError, match="give a workdir"):
        mmjax.train(tiny(), quiet=True, profile=(2, 3))

"""An evaluation on several devices of one processor has one program under way."""

import importlib

import mmjax
from mmjax.train import place

evaluate = importlib.import_module("mmjax.train.evaluate")  # by that name the package gives what it does


def test_each_batch_waits_for_the_one_before(tiny, tmp_path, monkeypatch):
    """With more of them devices wait for each other until XLA ends the process."""
    under_way, most, made, settle = [], [], evaluate.make_gather, place.settle

    def watched(*given, **how):
        program = made(*given, **how)

        def run(*parts):
            under_way.append(program(*parts))
            most.append(len(under_way))
            return under_way[-1]

        return run

    def waits(mesh, values):
        settle(mesh, values)
        under_way.clear()

    monkeypatch.setattr(evaluate, "make_gather", watched)
    monkeypatch.setattr(place, "settle", waits)
    mmjax.train(tiny(run={"steps": 2}), workdir=tmp_path / "run", quiet=True)
    assert len(most) > 4 and max(most) == 1

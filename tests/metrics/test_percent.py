"""Figures as people write them."""

from mmjax import metrics


def test_a_share_is_written_with_its_interval():
    assert metrics.percent({"value": 0.98251, "low": 0.9, "high": 1.0}) == "98.3 % (90.0 to 100.0)"

"""A run's page for people: ``report.html``, one file that needs nothing else."""

from mmjax.train.page.document import render

__all__ = ["render"]

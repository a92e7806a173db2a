"""What mmjax costs and how fast it is, beside what people would use instead: ``python -m tools.bench``."""

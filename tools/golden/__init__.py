"""Golden files: what other people's implementations say, made once and committed, so that tests need none of them.

    python -m venv /tmp/golden && /tmp/golden/bin/pip install torch==2.13.0 transformers
    /tmp/golden/bin/python -m tools.golden [FAMILY ...]

from the root of the house. A family is a file beside this one, each with a ``main`` that writes its files.
"""

"""Whole platforms, rendered: the exact set of paths and every byte.

A difference is not a fault by itself: it shows what a change does to real machines. Read it, and when it is meant,
keep it with ``pytest tests/golden --update-golden``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden import trees
from tests.golden.laid_out import cases

HERE = Path(__file__).parent
CASES = cases()


@pytest.mark.parametrize("case", CASES)
def test_renders_the_kept_tree(case: str, update_golden: bool) -> None:
    made = trees.rendered(CASES[case])
    if update_golden:
        trees.write(HERE / case, made)
    found = trees.differences(trees.read(HERE / case), made)
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize("case", CASES)
def test_same_input_same_bytes(case: str) -> None:
    assert list(trees.rendered(cases()[case]).items()) == list(trees.rendered(cases()[case]).items())


@pytest.mark.parametrize("case", CASES)
def test_shows_no_secret_unless_told_to(case: str) -> None:
    hidden = trees.rendered(CASES[case])
    shown = trees.rendered(CASES[case], show_secrets=True)
    assert hidden.keys() == shown.keys()
    assert not [path for path, content in hidden.items() if b"PRIVATE KEY" in content]
    assert [path for path, content in shown.items() if b"PRIVATE KEY" in content]

"""Pictures that stand alone show their colours in every renderer."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

PICTURES = sorted((Path(__file__).parents[2] / "docs").glob("*.svg"))
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
COLOUR = re.compile(r"\b(fill|stroke):\s*(#[0-9a-f]{6})")


def colours(style: str) -> dict[tuple[str, str], str]:
    """The colour each selector gives ``fill`` or ``stroke``."""
    return {
        (selector.strip(), property_): colour
        for selector, body in RULE.findall(style)
        for property_, colour in COLOUR.findall(body)
    }


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_colours_need_neither_variables_nor_media_queries(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    text = path.read_text()
    assert "var(" not in text
    light, _, dark = "".join(root.itertext()).partition("@media (prefers-color-scheme: dark) {")
    plain, other = colours(re.sub(r"/\*.*?\*/", "", light)), colours(dark.partition("\n    }")[0])
    assert plain.keys() == other.keys(), "a colour has its counterpart in the dark"
    assert all(plain[key] != other[key] for key in plain)
    coloured = {selector for selector, _ in plain}
    for element in root.iter("{http://www.w3.org/2000/svg}rect"):
        names = element.get("class", "").split()
        assert any(f".{name}" in coloured for name in names), f"{path.name}: {element.attrib} would be black"

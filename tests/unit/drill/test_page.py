"""The page is whole in itself, and everything in it that others wrote is text."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.unit.drill.made import report, timeline

from groundplane.drill.draw import Window, close_up, colours, drawing, whole
from groundplane.drill.model import DrillReport, Refused, Suite
from groundplane.drill.page import page

VOID = {"meta"}


class Reader(HTMLParser):
    """Checks that every element is closed in order, and keeps what refers to anything."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.seen: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def suite(*reports: DrillReport) -> Suite:
    return Suite(reports or (report(),), (Refused("clock-jump", "it needs a machine with a clock of its own"),))


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere() -> None:
    text = page(suite(report(), replace(report(), name="balancer-hang")))
    reader = read(text)
    assert {"svg", "table", "details", "style"} <= reader.seen
    assert not {"script", "img", "link", "iframe", "object", "image", "use"} & reader.seen
    assert all(link.startswith("#") for link in reader.links)
    assert not re.search(r"url\(|@import|https?://", text)
    assert "prefers-color-scheme: dark" in text


def test_the_page_says_what_was_found() -> None:
    words = " ".join(read(page(suite())).text)
    for expected in (
        "balancer-crash",
        "lb1: power cut",
        "0.82 s",
        "no acknowledged write is lost",
        "clock-jump",
        "worker2, cp3",
    ):
        assert expected in words


def test_what_components_logged_is_text() -> None:
    text = page(suite())
    assert "&lt;b&gt;Initiating start operation" in text
    assert "<b>" not in text


def test_the_same_drill_gives_the_same_bytes() -> None:
    assert page(suite()) == page(suite())


def test_the_close_up_ends_soon_after_clients_were_served() -> None:
    seen = timeline()
    window = close_up(seen, report(seen).moments)
    assert (window.begin, window.end) == (-0.5, 2.0)
    late = timeline(dead=((100.0, 101.9),))
    assert close_up(late, report(late).moments).end == pytest.approx(2.505)


def test_the_whole_drawing_reaches_from_the_first_request_to_the_end() -> None:
    assert whole(timeline()) == Window(-1.0, 4.0)


def test_a_drawing_holds_each_lane_and_the_gap() -> None:
    seen = timeline()
    text = drawing(seen, report(seen).moments, whole(seen), "all")
    assert text.count('class="gap"') == 1
    assert 'class="holder0"' in text
    assert 'class="holder1"' in text
    assert 'class="double"' not in text
    assert text.count("<circle") == len(report(seen).moments)
    assert len(re.findall(r"M[\d.]+ [\d.]+h0", text)) == len(seen.requests)
    strokes = len(re.findall(r"M[\d.]+ [\d.]+v\d", text))
    assert strokes == len(seen.writes) + sum(len(pod.samples) for pod in seen.pods)
    assert re.findall(r'class="lane"[^>]*>(\w+)<', text) == ["requests", "writes", "Service", "DNS", "address", "fault"]
    assert 'class="double"' in drawing(timeline(double=True), (), Window(0.7, 1.0), "both")


def test_each_machine_keeps_its_colour_in_every_drawing() -> None:
    assert colours(timeline()) == {"lb1": 0, "lb2": 1}
    assert colours(timeline(double=True)) == {"lb1": 0, "lb2": 1}


def test_a_drill_that_saw_nothing_can_be_drawn() -> None:
    empty = replace(timeline(), requests=(), writes=(), answers=(), journal=(), undone=None, healed=None)
    read(page(suite(replace(report(), timeline=empty, moments=()))))

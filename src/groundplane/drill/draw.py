"""A drill's timeline as SVG to stand inside a page: colours are the page's, by class. Pure.

The lanes share one axis: requests by how long they took, writes, each use that pods make of the platform, who answers
for the floating address, and the fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import log10
from typing import Final

from groundplane.drill.measure import from_pods, gaps, holders
from groundplane.drill.model import SLOW, Moment, Sample, Timeline, Use

WIDTH: Final = 1000
LEFT, RIGHT, TOP = 92, 12, 24
REQUESTS: Final = 150  # height of the lane of requests
LANE: Final = 22
SPACE: Final = 14
QUICKEST, LONGEST = 0.001, 5.0  # seconds at the bottom and at the top of the lane of requests
TICKS: Final = (0.001, 0.01, 0.1, 1.0)
STEPS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
COLOURS: Final = 6  # machines that have a colour of their own; further ones share


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of time a drawing shows, in seconds after the fault."""

    begin: float
    end: float

    def x(self, at: float) -> float:
        """The place of a moment, at the edge where it is outside."""
        share = (at - self.begin) / (self.end - self.begin)
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(share, 0.0), 1.0)

    def shows(self, at: float) -> bool:
        return self.begin <= at <= self.end

    @property
    def step(self) -> float:
        """Seconds between two marks of the axis: about ten of them."""
        return next((step for step in STEPS if (self.end - self.begin) / step <= 12), STEPS[-1])


def close_up(timeline: Timeline, moments: Sequence[Moment]) -> Window:
    """From just before the fault until shortly after clients were served again, and something was noticed."""
    until = timeline.undone or timeline.healed or timeline.ended
    early = [moment.at for moment in moments if moment.at < until]
    early += [begin + length for begin, length in gaps(timeline) if begin < until]
    last = max(early, default=timeline.injected) - timeline.injected
    return Window(-0.5, min(max(last + 0.6, 2.0), 12.0))


def whole(timeline: Timeline) -> Window:
    first = min((sample.at for sample in timeline.requests), default=timeline.injected)
    return Window(first - timeline.injected, max(timeline.ended - timeline.injected, 1.0))


def colours(timeline: Timeline) -> Mapping[str, int]:
    """A colour's number for each machine that ever answered for the floating address, by who was first."""
    found: dict[str, int] = {}
    for _, _, who in holders(timeline.answers, timeline.names):
        if who and " and " not in who:
            found.setdefault(who, len(found) % COLOURS)
    return found


def drawing(timeline: Timeline, moments: Sequence[Moment], window: Window, label: str) -> str:
    """One SVG element. ``moments`` are numbered from 1, as the list beside it numbers them."""
    uses = [use for use in Use if any(pod.use is use for pod in timeline.pods)]
    lanes = TOP + REQUESTS + (3 + len(uses)) * (SPACE + LANE)
    tops = iter([TOP + REQUESTS + SPACE + number * (SPACE + LANE) for number in range(3 + len(uses))])
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {lanes + 34}" role="img" aria-label="{escape(label)}">',
        *_axis(window, lanes),
        *_gaps(timeline, window, lanes),
        *_requests(timeline, window),
        *_strokes("writes", [write.sample for write in timeline.writes], timeline, window, next(tops)),
        *(line for use in uses for line in _strokes(use, from_pods(timeline, use), timeline, window, next(tops))),
        *_address(timeline, window, next(tops)),
        *_fault(timeline, window, next(tops)),
        *_moments(timeline, moments, window, lanes),
        "</svg>",
    ]
    return "\n".join(parts)


def _axis(window: Window, bottom: float) -> Iterator[str]:
    step = window.step
    digits = 1 if step < 1 else 0
    number = int(window.begin / step) - 1
    while (at := number * step) <= window.end:
        if at >= window.begin:
            x = window.x(at)
            yield f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}"/>'
            yield f'<text class="tick" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{at:.{digits}f}</text>'
        number += 1
    yield f'<text class="tick" x="{WIDTH - RIGHT}" y="{bottom + 31}" text-anchor="end">seconds after the fault</text>'


def _gaps(timeline: Timeline, window: Window, bottom: float) -> Iterator[str]:
    for begin, length in gaps(timeline):
        left, right = (window.x(at - timeline.injected) for at in (begin, begin + length))
        if right > left:
            yield (
                f'<rect class="gap" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{bottom - TOP}">'
                f"<title>no good answer for {length:.3f} s</title></rect>"
            )


def _requests(timeline: Timeline, window: Window) -> Iterator[str]:
    yield _name("requests", TOP + 6)
    for tick in TICKS:
        y = _height(tick)
        yield f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>'
        words = f"{tick:g} s" if tick >= 1 else f"{tick * 1000:g} ms"
        yield f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{words}</text>'

    def dot(sample: Sample) -> str:
        return f"M{window.x(sample.at - timeline.injected):.1f} {_height(sample.seconds):.1f}h0"

    shown = [sample for sample in timeline.requests if window.shows(sample.at - timeline.injected)]
    yield _path("good dot", dot, (sample for sample in shown if sample.ok and sample.seconds <= SLOW))
    yield _path("slow dot", dot, (sample for sample in shown if sample.ok and sample.seconds > SLOW))
    yield _path("bad dot", dot, (sample for sample in shown if not sample.ok))


def _strokes(name: str, samples: Sequence[Sample], timeline: Timeline, window: Window, y: float) -> Iterator[str]:
    yield _name(name, y + LANE / 2)

    def stroke(sample: Sample) -> str:
        return f"M{window.x(sample.at - timeline.injected):.1f} {y}v{LANE}"

    shown = [sample for sample in samples if window.shows(sample.at - timeline.injected)]
    yield _path("good stroke", stroke, (sample for sample in shown if sample.ok and sample.seconds <= SLOW))
    yield _path("slow stroke", stroke, (sample for sample in shown if sample.ok and sample.seconds > SLOW))
    yield _path("bad stroke", stroke, (sample for sample in shown if not sample.ok))


def _address(timeline: Timeline, window: Window, y: float) -> Iterator[str]:
    yield _name("address", y + LANE / 2)
    numbers = colours(timeline)
    for begin, end, who in holders(timeline.answers, timeline.names):
        left, right = (window.x(at - timeline.injected) for at in (begin, end))
        if right - left < 0.5 or not who:
            continue
        style = f"holder{numbers[who]}" if who in numbers else "double"
        yield (
            f'<rect class="{style}" x="{left:.1f}" y="{y}" width="{right - left:.1f}" height="{LANE}" rx="2">'
            f"<title>{escape(who)} answers for the floating address</title></rect>"
        )
        if right - left > 8 * len(who) + 8:
            x = (left + right) / 2
            yield f'<text class="on" x="{x:.1f}" y="{y + LANE / 2 + 4}" text-anchor="middle">{escape(who)}</text>'


def _fault(timeline: Timeline, window: Window, y: float) -> Iterator[str]:
    yield _name("fault", y + LANE / 2)
    left = window.x(0)
    right = max(window.x((timeline.undone or timeline.injected) - timeline.injected), left + 3)
    yield f'<rect class="fault" x="{left:.1f}" y="{y}" width="{right - left:.1f}" height="{LANE}" rx="2"/>'


def _moments(timeline: Timeline, moments: Sequence[Moment], window: Window, bottom: float) -> Iterator[str]:
    taken = float("-inf")
    for number, moment in enumerate(moments, 1):
        at = moment.at - timeline.injected
        if not window.shows(at):
            continue
        x = window.x(at)
        words = f"{at:+.3f} s {moment.where} {moment.title}"
        yield f'<line class="moment" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}"/>'
        taken = max(x, taken + 17)  # numbers that would cover each other stand side by side
        yield (
            f'<g><title>{escape(words)}</title><circle class="number" cx="{taken:.1f}" cy="12" r="8"/>'
            f'<text class="number" x="{taken:.1f}" y="15.5" text-anchor="middle">{number}</text></g>'
        )


def _name(text: str, y: float) -> str:
    return f'<text class="lane" x="0" y="{y + 4:.1f}">{text}</text>'


def _height(seconds: float) -> float:
    share = log10(min(max(seconds, QUICKEST), LONGEST) / QUICKEST) / log10(LONGEST / QUICKEST)
    return TOP + REQUESTS * (1 - share)


def _path(style: str, mark: Callable[[Sample], str], samples: Iterable[Sample]) -> str:
    return f'<path class="{style}" d="{"".join(mark(sample) for sample in samples)}"/>'

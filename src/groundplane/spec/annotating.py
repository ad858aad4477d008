"""The file as its author wrote it, with every problem marked where it is and told below."""

from __future__ import annotations

from groundplane.spec.problem import InvalidCluster, Problem

# Longer lines are cut around the caret, so that it stays under what it points at.
_WIDTH = 120
_CONTEXT = 2


def annotate(error: InvalidCluster) -> str:
    """Plain text: the lines around each problem with a caret and ``E1``, ``E2``, …, then what each of them means.

    A file of up to 60 lines is shown whole.
    """
    numbered = tuple(enumerate(error.problems, start=1))
    blocks = [f"{error.name}: {error.what}", ""]
    excerpt = _excerpt(error.text, numbered)
    blocks += [*excerpt, ""] if excerpt else []
    for number, problem in numbered:
        blocks.append(f"E{number} {problem.where}{problem.message}")
        if problem.instead:
            blocks.append(f"   → {problem.instead}")
    return "\n".join(blocks) + "\n"


def _excerpt(text: str, numbered: tuple[tuple[int, Problem], ...]) -> list[str]:
    lines = text.split("\n")
    if lines[-1:] == [""]:
        lines.pop()
    if not lines:
        return []
    at_line: dict[int, list[tuple[int, int]]] = {}
    for number, problem in numbered:
        at_line.setdefault(min(problem.line, len(lines)), []).append((problem.column, number))
    width = len(str(len(lines)))
    result: list[str] = []
    before = 0
    for line in _shown_lines(len(lines), at_line):
        if line != before + 1:
            result.append(f"{'…':>{width}} |")
        result += _line(line, lines[line - 1], at_line.get(line, []), width)
        before = line
    if before != len(lines):
        result.append(f"{'…':>{width}} |")
    return result


def _shown_lines(total: int, at_line: dict[int, list[tuple[int, int]]]) -> list[int]:
    if total <= 60:
        return list(range(1, total + 1))
    near = {number for line in at_line for number in range(line - _CONTEXT, line + _CONTEXT + 1)}
    return sorted(number for number in near if 1 <= number <= total)


def _line(number: int, text: str, marks: list[tuple[int, int]], width: int) -> list[str]:
    """One line of the file, and below it one line for each column something is wrong at."""
    start = 0
    if len(text) > _WIDTH and marks:
        start = max(0, min(column for column, _ in marks) - _WIDTH // 2)
    cut = "".join(character if character.isprintable() else " " for character in text[start : start + _WIDTH])
    shown = ("…" if start else "") + cut + ("…" if len(text) > start + _WIDTH else "")
    result = [f"{number:>{width}} | {shown}".rstrip()]
    columns: dict[int, list[str]] = {}
    for column, problem in marks:
        columns.setdefault(column, []).append(f"E{problem}")
    for column, names in sorted(columns.items()):
        offset = min(max(column - 1 - start, 0), _WIDTH) + (1 if start else 0)
        result.append(f"{'':>{width}} | {' ' * offset}^ {', '.join(names)}")
    return result

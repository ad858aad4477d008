"""Whatever goes wrong, the user reads what, where and what next; the status says which kind it was."""

from __future__ import annotations

import asyncio
from io import StringIO

import pytest
import typer

from groundplane.cli.failures import flattened, guarded
from groundplane.cli.output import Channel, Output
from groundplane.errors import CommandFailed, GroundplaneError, Interrupted
from groundplane.spec.problem import InvalidCluster, Problem


def outcome(error: BaseException, *, verbose: bool = False, colour: bool = False) -> tuple[int, str, str]:
    """Status, stdout and stderr of a command that ends with ``error``."""
    out, err = StringIO(), StringIO()
    channels = Output(Channel(out, colour, colour), Channel(err, colour, colour))
    with pytest.raises(typer.Exit) as caught, guarded(channels, verbose=verbose):
        raise error
    return caught.value.exit_code, out.getvalue(), err.getvalue()


def test_what_where_detail_and_next() -> None:
    error = CommandFailed("`kubeadm init` ended with 1", status=1, where="cp1", hint="look there", detail="a\nb\n")
    code, out, err = outcome(error)
    assert (code, out) == (1, "")
    assert err == "error: cp1: `kubeadm init` ended with 1\n    a\n    b\n  next: look there\n"


def test_only_the_last_lines_of_a_long_detail() -> None:
    detail = "\n".join(f"line {number}" for number in range(1, 31))
    _, _, err = outcome(GroundplaneError("broke", detail=detail))
    assert "line 10\n" not in err
    assert "… 10 lines before these" in err
    assert err.endswith("line 30\n")


def test_every_failure_of_a_group_is_shown_once() -> None:
    same = [GroundplaneError("same"), GroundplaneError("same")]
    group = ExceptionGroup("", [GroundplaneError("one"), ExceptionGroup("", [GroundplaneError("two"), *same])])
    _, _, err = outcome(group)
    assert err == "error: one\nerror: two\nerror: same\n"


def test_cancellations_that_only_followed_are_left_out() -> None:
    group = BaseExceptionGroup("", [asyncio.CancelledError(), GroundplaneError("one")])
    assert [str(error) for error in flattened(group)] == ["one"]


def test_problems_of_the_file_stand_at_their_lines_and_are_bad_usage() -> None:
    problems = [
        Problem(3, 5, "machines.worker", "-1 is too few", "write 0 or more"),
        Problem(1, 1, "", "no name", "write name"),
    ]
    code, _, err = outcome(ExceptionGroup("", [InvalidCluster("lab.yaml", problems)]).exceptions[0])
    assert code == 2
    assert err.splitlines()[:3] == [
        "lab.yaml:1:1: no name — write name",
        "lab.yaml:3:5: machines.worker: -1 is too few — write 0 or more",
        "error: the cluster file has 2 problems",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError(), Interrupted("x"), typer.Abort()])
def test_interrupted_says_how_to_go_on(error: BaseException) -> None:
    assert outcome(error) == (130, "", "interrupted: run the same command again to go on\n")


def test_what_failed_while_stopping_is_shown() -> None:
    error = Interrupted("x")
    error.__cause__ = ExceptionGroup("", [GroundplaneError("could not unmount", where="cp1")])
    code, _, err = outcome(error)
    assert code == 130
    assert err.startswith("error: cp1: could not unmount\n")


def test_faults_of_our_own_apologise_and_show_a_traceback_only_when_asked() -> None:
    code, _, err = outcome(ValueError("odd"))
    assert code == 1
    assert "groundplane itself failed" in err
    assert "-v" in err
    assert "Traceback" not in err
    assert "Traceback" in outcome(ValueError("odd"), verbose=True)[2]


def test_exits_and_closed_pipes_pass() -> None:
    channels = Output(Channel(StringIO(), False, False), Channel(StringIO(), False, False))
    for error in (typer.Exit(5), BrokenPipeError(), typer.BadParameter("x")):
        with pytest.raises(type(error)), guarded(channels, verbose=False):
            raise error


def test_colours_only_where_wanted() -> None:
    assert "\x1b[" in outcome(GroundplaneError("x"), colour=True)[2]
    assert "\x1b[" not in outcome(GroundplaneError("x"))[2]

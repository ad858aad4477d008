"""What tells an etcd that was killed before it wrote anything from one that has something to lose."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundplane.components.etcd.remote.begin_etcd_anew import records, unbegun

# The log of an etcd 3.6.8 that was killed between making it and writing its first entries.
HEAD = bytes.fromhex(
    "0400000000000084" "0804100000000000"
    "2000000000000000" "080110fcb588d4091a1608fbfa8ba392e69eebdd0110b9aec4abb989e5f7a701"
    "0e00000000000082" "080510a1efdecc0e1a04080010000000"
)  # fmt: skip
ENTRY, STATE = b"\x08\x02\x10\x01\x1a\x00", b"\x08\x03\x10\x01\x1a\x00"
FULL = 4096


def record(content: bytes) -> bytes:
    """As etcd writes it: its length, how much padding follows, and that padding, to 8 bytes."""
    padding = -len(content) % 8
    return len(content).to_bytes(7, "little") + bytes([0x80 | padding if padding else 0]) + content + bytes(padding)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "member" / "snap").mkdir(parents=True)
    (tmp_path / "member" / "snap" / "db").write_bytes(b"x" * FULL)
    (tmp_path / "member" / "wal").mkdir()
    (tmp_path / "member" / "wal" / "0.tmp").write_bytes(bytes(FULL))
    return tmp_path


def write(data: Path, content: bytes, name: str = "0000000000000000-0000000000000000.wal") -> Path:
    log = data / "member" / "wal" / name
    log.write_bytes(content.ljust(FULL, b"\0"))
    return log


def test_records_are_read_to_the_last(data: Path) -> None:
    log = write(data, HEAD + record(ENTRY) + record(STATE))
    assert list(records(log)) == [(4, 16), (1, 56), (5, 80), (2, 96), (3, 112)]


def test_a_log_with_nothing_but_its_head_never_began(data: Path) -> None:
    write(data, HEAD)
    assert unbegun(data)


@pytest.mark.parametrize("more", [record(ENTRY), record(STATE), record(b"\x12\x05"), b"\x40" + bytes(7)])
def test_anything_more_is_something_to_lose(data: Path, more: bytes) -> None:
    write(data, HEAD + more)
    assert not unbegun(data)


def test_a_snapshot_or_a_second_log_is_something_to_lose(data: Path) -> None:
    write(data, HEAD)
    second = write(data, HEAD, "0000000000000001-0000000000000009.wal")
    assert not unbegun(data)
    second.unlink()
    (data / "member" / "snap" / "0000000000000001-0000000000000001.snap").touch()
    assert not unbegun(data)


def test_no_log_is_left_to_etcd(data: Path) -> None:
    assert not unbegun(data)
    assert not unbegun(data / "nowhere")

from __future__ import annotations

import ctypes

import pytest

from caplab.memory import keep_freed


def test_where_the_c_library_cannot_be_told_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert not keep_freed()


def test_what_the_c_library_refuses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        @staticmethod
        def mallopt(_option: int, _value: int) -> int:
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Refusing())
    assert not keep_freed()

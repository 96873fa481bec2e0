"""Numbers, durations and dates of any locale come back as what was printed."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectra.formats._cell_charge import running
from spectra.formats._cell_numbers import (
    ambiguous,
    day_first,
    decimal_comma,
    duration,
    number,
    numbers,
    stamp,
    stamps,
)
from spectra.formats._cell_words import meaning

VALUES = st.floats(-1e9, 1e9, allow_nan=False).map(lambda v: round(v, 4))


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_every_locale(values):
    english = [f"{v:,.4f}" for v in values]
    german = [text.translate(str.maketrans(",.", ".,")) for text in english]
    plain = [f"{v:.4f}" for v in values]
    comma = [text.replace(".", ",") for text in plain]
    assert decimal_comma(english) is False
    assert decimal_comma(german) is True
    for cells, mark in ((english, False), (german, True), (plain, False), (comma, True)):
        np.testing.assert_allclose(numbers(cells, mark), values, atol=1e-9)


def test_what_is_no_number_is_nan_and_grouped_whole_numbers_are_whole():
    assert np.isnan(number("N/A", False))
    assert np.isnan(number("", True))
    assert number("12.345.678", True) == 12345678
    assert number("0.123", True) == 0.123
    assert number("\u22121,5", True) == -1.5
    assert decimal_comma(["1", "2", "text"]) is None


@given(st.integers(0, 9 * 86400), st.integers(0, 999))
def test_durations(seconds, milli):
    days, rest = divmod(seconds, 86400)
    h, m, s = rest // 3600, rest // 60 % 60, rest % 60
    total = seconds + milli / 1e3
    for text in (
        f"  {days}d {h:02d}:{m:02d}:{s:02d}.{milli:03d}",
        f"{days}.{h:02d}:{m:02d}:{s:02d}.{milli:03d}",
        f"{24 * days + h}:{m:02d}:{s:02d},{milli:03d}",
        f"{days} days {h:02d}:{m:02d}:{s:02d}.{milli:03d}",
    ):
        assert duration(text) == pytest.approx(total, abs=1e-6)
    assert np.isnan(duration("10 min"))


@given(st.datetimes(datetime(2000, 1, 1), datetime(2035, 1, 1)))
def test_dates(when):
    when = when.replace(microsecond=0)
    half = "AM" if when.hour < 12 else "PM"
    clock = f"{when.hour:02d}:{when.minute:02d}:{when.second:02d}"
    twelve = f"{when.hour % 12 or 12}:{when.minute:02d}:{when.second:02d} {half}"
    y, m, d = when.year, when.month, when.day
    month = when.strftime("%b")
    for text in (
        f"{m:02d}/{d:02d}/{y} {clock}",
        f"{m}/{d}/{y} {twelve}",
        f"{y}-{m:02d}-{d:02d} {clock}.000",
        f"{y}/{m}/{d} {clock}",
        f"{d:02d}-{month}-{y % 100:02d} {twelve}",
        f"{d} {when.strftime('%B')} {y}, {twelve}",
        f"{month}. {d:02d}, {y}   {clock}",
        f"\t{m:02d}/{d:02d}/{y} {clock}",
    ):
        assert stamp(text, False) == when, text
    assert stamp(f"{d:02d}.{m:02d}.{y} {clock}", True) == when
    assert stamp(f"{y}-{m:02d}-{d:02d}T{clock}Z", False).utcoffset() == timedelta(0)
    days = (when - datetime(1899, 12, 30)) / timedelta(days=1)
    assert abs(stamp(f"{days:.9f}", False) - when) < timedelta(milliseconds=1)


def test_which_comes_first_is_found_from_all_dates():
    assert day_first(["01/02/2020 00:00:00", "13/02/2020 00:00:00"], False)
    assert not day_first(["01/02/2020 00:00:00", "01/13/2020 00:00:00"], True)
    assert day_first(["01.02.2020 00:00:00"], False)
    assert day_first(["01/02/2020"], True)
    assert ambiguous(["01/02/2020", "03/02/2020"])
    assert not ambiguous(["01/02/2020", "13/02/2020"])
    assert not ambiguous(["2020-01-02"])
    seconds, zero = stamps(["30/01/2020 23:59:59", "01/02/2020 00:00:00"], False)
    np.testing.assert_allclose(seconds, [0, 86401])
    assert zero == datetime(2020, 1, 30, 23, 59, 59)


def test_dates_that_are_none():
    assert stamp("31/02/2020 10:00:00", True) is None
    assert stamp("hello", False) is None
    assert stamp("99/99/9999", False) is None


@given(st.lists(st.lists(st.floats(0, 10).map(lambda v: round(v, 3)), min_size=2, max_size=6),
                min_size=1, max_size=5))  # fmt: skip
def test_counters_that_restart_are_joined(steps):
    # each step counts up from zero to at least 1, so that a restart shows
    counters = [np.concatenate([[0.0], np.cumsum(step) + 1.0]) for step in steps]
    joined = running(np.concatenate(counters))
    assert np.all(np.diff(joined) >= 0)
    assert joined[-1] == pytest.approx(sum(c[-1] for c in counters))


@pytest.mark.parametrize(
    ("heading", "quantity", "factor"),
    [
        ("Current(mA)", "current", 1.0),
        ("I[A]", "current", 1e3),
        ("Current / A", "current", 1e3),
        ("current_milliampere", "current", 1.0),
        ("Strom [µA]", "current", 1e-3),
        ("U[V]", "voltage", 1.0),
        ("Voltage (mV)", "voltage", 1e-3),
        ("Test (Min)", "time", 60.0),
        ("~Time[h]", "any_time", 3600.0),
        ("Cap. [Ah]", "step_charge", 1e3),
        ("Q/C", "", 0.0),
        ("-Im(Z)/Ohm", "impedance_im", -1.0),
        ("Z'' (MOhm)", "impedance_im", 1e6),
        ("Z'' (mOhm)", "impedance_im", 1e-3),
        ("Frequency (kHz)", "frequency", 1e3),
        ("Pressure (bar)", "pressure", 0.1),
        ("Strain (µε)", "strain", 1e-6),
        ("T1(℃)", "temperature", 1.0),
        ("Spec. Cap.(mAh/g)", "", 0.0),
        ("I[A/kg]", "", 0.0),
        ("dV/dt (V/s)", "", 0.0),
        ("Internal Resistance (Ohm)", "", 0.0),
    ],
)
def test_headings(heading, quantity, factor):
    found = meaning(heading)
    if not quantity:
        assert found is None
    else:
        assert found is not None
        assert found.quantity == quantity
        assert found.factor == pytest.approx(factor)

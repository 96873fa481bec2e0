"""Pictures of channels: what is drawn, against what."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from spectra.channels import channels
from spectra.errors import ConventionError
from workbench.plot import channels as draw

TIME = np.array([0.0, 3600.0, 7200.0])


def test_quantities_against_hours():
    ds = channels(TIME, {"voltage": ([3.0, 3.1, 3.2], "V"), "current": ([1, 1, -1], "mA"),
                         "cycle": ([1, 1, 1], "1")}, technique="cycling")  # fmt: skip
    figure = wb.plot.spectrum(ds)
    assert len(figure.axes) == 2  # counters are not drawn
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_xdata(), [0, 1, 2])
    np.testing.assert_allclose(line.get_ydata(), [3.0, 3.1, 3.2])


def test_impedance_as_nyquist_with_equal_scales():
    ds = channels(
        np.arange(4.0),
        {"frequency": ([10.0, 1.0, 10.0, 1.0], "Hz"), "impedance_re": ([1, 2, 1, 3], "ohm"),
         "impedance_im": ([-1, 0, -2, 0], "ohm"), "spectrum": ([0, 0, 1, 1], "1")},
        technique="impedance",
        along="point",
    )  # fmt: skip
    figure = draw(ds)
    nyquist = figure.axes[0]
    assert nyquist.get_aspect() == 1.0
    assert len(nyquist.lines) == 2
    np.testing.assert_allclose(nyquist.lines[1].get_ydata(), [2, 0])


def test_voltammetry_against_voltage():
    ds = channels(TIME, {"voltage": ([0.0, 1.0, 0.0], "V"), "current": ([1, 2, 1], "mA")},
                  technique="voltammetry")  # fmt: skip
    np.testing.assert_allclose(draw(ds).axes[0].lines[0].get_xdata(), [0, 1, 0])


def test_only_channels():
    with pytest.raises(ConventionError, match="not channels"):
        draw(channels(TIME, {"voltage": ([0, 1, 0], "V")}, technique="cycling").drop_attrs())


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_the_app_shows_a_cyclers_file(tmp_path):
    pn = pytest.importorskip("panel")
    from apps.state import Session
    from apps.views.open import view
    from apps.views.position import Position

    (tmp_path / "a.csv").write_text("Time (s),Voltage (V),Current (mA)\n0,3,1\n10,3.1,1\n")
    session = Session(folder=tmp_path)
    session.open_named("a.csv")
    page = view(session, Position(session))
    page.get_root()
    assert page.select(pn.pane.Matplotlib)

"""The second dimension of raw 2D spectra: frequencies and signs as they were put in."""

from __future__ import annotations

import numpy as np
import pytest

import workbench as wb
from spectra.errors import CalibrationError, ModelError
from spectra.formats._nmr import raw
from spectra.formats.base import Source

PEAKS = ((1200.0, 700.0, 1.0), (-800.0, -1500.0, 0.6))
"""Frequencies along the direct and the indirect dimension, Hz, and heights."""
WIDTH, WIDTH1, POINTS, PAIRS = 8000.0, 6000.0, 512, 96


def direct(f):
    t = np.arange(POINTS) / WIDTH
    return np.exp(2j * np.pi * f * t - 60.0 * t)


def rows_of(mode):
    """Write rows by the definition of each mode (Keeler, Understanding NMR, ch. 8)."""

    def along(n, step):
        return n * step, np.exp(-60.0 * n * step)

    made = []
    if mode == "tppi":
        for n in range(2 * PAIRS):
            t, decay = along(n, 0.5 / WIDTH1)
            angle = 0.5 * np.pi * n  # the receiver's reference moves on by 90 degrees
            made.append(sum(h * decay * np.cos(2 * np.pi * g * t + angle) * direct(f)
                            for f, g, h in PEAKS))  # fmt: skip
        return np.array(made)
    for n in range(PAIRS):
        t, decay = along(n, 1.0 / WIDTH1)
        for k in range(1 if mode == "qf" else 2):
            row = np.zeros(POINTS, complex)
            for f, g, h in PEAKS:
                angle = 2 * np.pi * g * t
                if mode in ("states", "states_tppi"):
                    factor = np.cos(angle) if k == 0 else np.sin(angle)
                    factor = factor * (-1.0) ** n if mode == "states_tppi" else factor
                elif mode == "echo_antiecho":
                    factor = np.exp(1j * angle * (1 if k == 0 else -1))
                else:
                    factor = np.exp(1j * angle)
                row += h * decay * factor * direct(f)
            made.append(row)
    return np.array(made)


def measured(mode, **attrs):
    told = {"nucleus": "7Li", "carrier_MHz": 100.0, "reference_MHz": 100.0,
            "indirect_width_Hz": WIDTH1, "indirect_carrier_MHz": 40.0,
            "indirect_reference_MHz": 40.0, "indirect_nucleus": "31P", **attrs}  # fmt: skip
    data = rows_of(mode)
    outer = {"scan": np.arange(1, len(data) + 1)}
    return raw(data, 1.0 / WIDTH, attrs=told, source=Source("made", "", "test"), outer=outer)


@pytest.mark.parametrize("mode", ["states", "states_tppi", "tppi", "echo_antiecho", "qf"])
def test_both_peaks_lie_where_they_were_put(mode):
    ds = wb.correct(measured(mode, indirect_mode=mode), "fourier")
    made = wb.correct(ds, "indirect", points=512 if mode == "tppi" else 256)
    assert made["intensity"].dims == ("indirect_shift", "chemical_shift")
    assert made.attrs["indirect_nucleus"] == "31P"
    y = made["intensity"].values.copy()
    x1, x2 = made["indirect_shift"].values, made["chemical_shift"].values
    assert np.all(np.diff(x1) > 0)
    for f, g, _ in PEAKS:  # the higher one first; then it is taken out
        i, k = np.unravel_index(int(np.argmax(y)), y.shape)
        assert x2[k] == pytest.approx(f / 100.0, abs=WIDTH / POINTS / 100.0)
        assert x1[i] == pytest.approx(g / 40.0, abs=1.2 * WIDTH1 / PAIRS / 40.0)
        y[max(i - 12, 0) : i + 13, max(k - 12, 0) : k + 13] = 0.0
    # no image at the frequency of the other sign
    assert (
        np.abs(y[:, np.abs(x2 - 12.0) < 0.4][np.abs(x1 + 17.5) < 2.0]).max()
        < 0.1 * made["intensity"].values.max()
    )
    assert ("magnitude" in made.attrs) == (mode == "qf")


def test_amplitude_modulated_rows_give_absorption_lines():
    """The real part of a States transform has no dispersion; its lines sum to their heights."""
    ds = wb.correct(measured("states", indirect_mode="states"), "fourier")
    made = wb.correct(ds, "indirect", window="none", points=256)
    y = made["intensity"].values
    assert y.min() > -0.08 * y.max()
    shares = [
        y[:, np.abs(made["chemical_shift"].values - f / 100.0) < 3.0].sum() for f, _, _ in PEAKS
    ]
    assert shares[1] / shares[0] == pytest.approx(0.6, abs=0.03)


def test_states_is_what_nmrglue_makes_of_it():
    import nmrglue as ng

    ds = wb.correct(measured("states", indirect_mode="states"), "fourier", first_point=1.0)
    made = wb.correct(ds, "indirect", window="none", points=128)
    rows = ds["intensity"].values
    pairs = rows[0::2] + 1j * rows[1::2]
    pairs[0] *= 0.5
    theirs = ng.proc_base.fft(ng.proc_base.zf_size(pairs.T, 128)).T
    if not np.allclose(theirs.real, made["intensity"]):  # its axis runs down
        theirs = theirs[::-1]
        theirs = np.roll(theirs, 1, axis=0)
    np.testing.assert_allclose(made["intensity"], theirs.real, atol=1e-6 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("number", "mode"), [(3, "tppi"), (4, "states"), (5, "states_tppi"), (6, "echo_antiecho")]
)
def test_a_topspin_experiment_says_its_mode(tmp_path, number, mode):
    folder = tmp_path / "7"
    folder.mkdir()
    rows = rows_of(mode)
    values = np.zeros((len(rows), 2 * POINTS))  # 1024 numbers: whole blocks of 1 KiB
    values[:, 0::2], values[:, 1::2] = rows.real * 1e6, rows.imag * 1e6
    values.round().astype("<i4").tofile(folder / "ser")
    told = {"TD": 2 * POINTS, "SW_h": WIDTH, "SFO1": 100.0, "BF1": 100.0, "NUC1": "<7Li>",
            "DTYPA": 0, "BYTORDA": 0, "DIGMOD": 0}  # fmt: skip
    told2 = {"TD": len(rows), "FnMODE": number, "SW_h": WIDTH1, "SFO1": 40.0, "BF1": 40.0,
             "NUC1": "<31P>"}  # fmt: skip

    def write(name, parameters):
        lines = [f"##${key}= {value}" for key, value in parameters.items()]
        (folder / name).write_text("\n".join(["##TITLE= x", *lines, "##END=", ""]))

    write("acqus", told)
    write("acqu2s", told2)
    made = wb.correct(wb.correct(wb.open(folder), "fourier"), "indirect")
    y = made["intensity"].values
    i, k = np.unravel_index(int(np.argmax(y)), y.shape)
    assert made["chemical_shift"].values[k] == pytest.approx(12.0, abs=0.2)
    assert made["indirect_shift"].values[i] == pytest.approx(17.5, abs=2.0)
    write("acqu2s", {**told2, "FnMODE": 1})  # what a series has as well
    with pytest.raises(ModelError, match="may be a series"):
        wb.correct(wb.correct(wb.open(folder), "fourier"), "indirect")


def test_what_is_missing_is_said():
    ds = wb.correct(measured("states"), "fourier")
    with pytest.raises(ModelError, match="may be a series"):
        wb.correct(ds, "indirect")
    with pytest.raises(ModelError, match="not whole pairs"):
        wb.correct(ds.isel(scan=slice(0, 9)), "indirect", mode="states")
    with pytest.raises(ModelError, match=r"'fourier'\) comes first"):
        wb.correct(measured("states"), "indirect", mode="states")
    del ds.attrs["indirect_carrier_MHz"]
    with pytest.raises(CalibrationError, match="give indirect carrier_MHz="):
        wb.correct(ds, "indirect", mode="states")
    turned = wb.correct(ds, "indirect", mode="states", carrier_MHz=40.0, reverse=True, points=256)
    y = turned["intensity"].values
    i, _ = np.unravel_index(int(np.argmax(y)), y.shape)
    assert turned["indirect_shift"].values[i] == pytest.approx(-17.5, abs=2.0)

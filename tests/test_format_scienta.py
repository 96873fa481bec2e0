"""Scienta SES text: slices, a third dimension, decimal commas, energies of either kind."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from spectra import formats
from spectra.errors import FormatError
from tests.shared_data import data

ENERGY = 360.0 + 0.1 * np.arange(25)


def ses(path, parts, *, axis="Kinetic Energy [eV]", third="", comma=False, photon=520.5):
    """Write one region; ``parts`` are (heading, values of shape (energies, slices))."""
    slices = parts[0][1].shape[1]
    lines = [
        "[Info]", "Number of Regions=1", "Version=1.3.1", "", "[Region 1]", "Region Name=S2p",
        f"Dimension 1 name={axis}", f"Dimension 1 size={ENERGY.size}",
        "Dimension 1 scale=" + " ".join(f"{v:.4f}" for v in ENERGY),
        "Dimension 2 name=Y-Scale [deg]", f"Dimension 2 size={slices}",
        "Dimension 2 scale=" + " ".join(f"{0.5 * k:.2f}" for k in range(slices)),
        *third.splitlines(), "", "[Info 1]", "Region Name=S2p", "Lens Mode=Angular30",
        "Pass Energy=20", f"Excitation Energy={photon}", "Energy Scale=Kinetic", "",
    ]  # fmt: skip
    for heading, values in parts:
        lines.append(heading)
        table = np.column_stack([ENERGY, values])
        lines += ["  ".join(f"{v:.4f}" for v in row) for row in table] + [""]
    text = "\r\n".join(lines)
    path.write_text(text.replace(".", ",") if comma else text, encoding="latin-1", newline="")
    return path


def counts(slices, seed=0):
    return np.random.default_rng(seed).poisson(200.0, (ENERGY.size, slices)).astype(float)


@pytest.mark.parametrize("comma", [False, True])
@pytest.mark.parametrize("slices", [1, 4])
def test_slices_and_decimal_marks(tmp_path, slices, comma):
    y = counts(slices)
    ds = formats.read(ses(tmp_path / "a.txt", [("[Data 1]", y)], comma=comma))["S 2p"]
    np.testing.assert_allclose(ds["binding_energy"].values[::-1], 520.5 - ENERGY, atol=1e-6)
    if slices == 1:
        np.testing.assert_array_equal(ds["intensity"].values[::-1], y[:, 0])
    else:
        np.testing.assert_allclose(ds["angle"], 0.5 * np.arange(slices))
        np.testing.assert_array_equal(ds["intensity"].values[:, ::-1], y.T)
    assert ds["intensity"].attrs["units"] == "counts"


@pytest.mark.parametrize("slices", [1, 3])
def test_a_third_dimension(tmp_path, slices):
    parts = [(f"[Data 1:{k + 1}]", counts(slices, seed=k)) for k in range(4)]
    third = "Dimension 3 name=Iteration [a.u.]\nDimension 3 size=4\nDimension 3 scale=1 2 3 4"
    ds = formats.read(ses(tmp_path / "a.txt", parts, third=third))["S 2p"]
    assert ds["intensity"].dims[0] == "scan"
    for k in range(4):
        ours = ds["intensity"].isel(scan=k).values[..., ::-1]
        np.testing.assert_array_equal(ours.reshape(slices, -1), parts[k][1].T)
    with pytest.raises(FormatError, match="3 parts of 4"):
        formats.read(ses(tmp_path / "b.txt", parts[:3], third=third))


def test_binding_energies_and_kinetic_ones_without_the_photon_energy(tmp_path):
    y = counts(1)
    path = ses(tmp_path / "a.txt", [("[Data 1]", y)], axis="Binding Energy [eV]")
    np.testing.assert_allclose(formats.read(path)["S 2p"]["binding_energy"], ENERGY)
    with pytest.raises(FormatError, match="no excitation energy"):
        formats.read(ses(tmp_path / "b.txt", [("[Data 1]", y)], photon=""))


@pytest.mark.parametrize("shape", [(25,), (25, 3), (25, 3, 4)])
def test_igor_waves_of_one_to_three_dimensions(tmp_path, monkeypatch, shape):
    from igor2 import binarywave

    y = np.random.default_rng(0).poisson(300.0, shape).astype(float)
    note = "[SES]\rRegion Name=S2p\rExcitation Energy=520.5\rEnergy Scale=Kinetic\r"
    header = {"sfA": np.array([0.1, 0.5, 1.0, 1.0]), "sfB": np.array([360.0, -0.5, 1.0, 0.0])}
    wave = {
        "wave": {
            "wData": y,
            "note": note.encode(),
            "wave_header": header,
            "dimension_units": b"Kinetic Energy [eV]Y-Scale [deg]",
        }
    }
    monkeypatch.setattr(binarywave, "load", lambda path: wave)
    path = tmp_path / "a.ibw"
    path.write_bytes(b"\x05\x00" + bytes(400))
    ds = formats.read(path)["S 2p"]
    dims = ("scan", "angle", "binding_energy")[3 - len(shape) :]
    assert ds["intensity"].dims == dims
    np.testing.assert_array_equal(ds["intensity"].values[..., ::-1], y.T)
    np.testing.assert_allclose(ds["binding_energy"].values[::-1], 520.5 - ENERGY, atol=1e-6)
    if "angle" in dims:
        np.testing.assert_allclose(ds["angle"], [-0.5, 0.0, 0.5])


def packed(*records):
    """Chain records as an Igor packed experiment has them: kind, version, length, data."""
    return b"".join(struct.pack("<HhI", kind, 0, len(raw)) + raw for kind, raw in records)


def test_a_packed_experiment_holds_the_waves_it_was_made_of(tmp_path):
    paths = [data(f"xps/scienta/Ag_000{n}Ag__00{n}.ibw") for n in (1, 2)]
    first, second = (p.read_bytes() for p in paths)
    path = tmp_path / "silver.pxt"
    path.write_bytes(packed((1, b"variables"), (3, first), (3, second), (2, b"history\r")))
    regions = formats.read(path)
    assert len(regions) == 2
    for ours, source in zip(regions.values(), paths, strict=True):
        (theirs,) = formats.read(source).values()
        np.testing.assert_array_equal(ours["intensity"], theirs["intensity"])
        np.testing.assert_array_equal(ours["binding_energy"], theirs["binding_energy"])
        assert ours.attrs["pass_energy_eV"] == theirs.attrs["pass_energy_eV"]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FormatError, match="truncated"):
        formats.read(path)
    path.write_bytes(packed((3, first.replace(b"[SES]", b"[XXX]"))))
    with pytest.raises(FormatError, match=r"no \[SES\] note"):
        formats.read(path)
    path.write_bytes(packed((1, b"variables")))
    with pytest.raises(FormatError, match="no wave in it"):
        formats.read(path)


def test_iterations_are_scans_not_slices(tmp_path):
    # github.com/Yohko/importtool, samples/VGScientaSES/sample2.txt: repeats of a sequence lie along
    # dimension 2, called "Seq. Iteration[a.u.]", on a binding energy axis.
    y = counts(6)
    path = ses(tmp_path / "a.txt", [("[Data 1]", y)], axis="Binding Energy [eV]", photon=4000)
    text = path.read_text(encoding="latin-1")
    path.write_text(text.replace("Y-Scale [deg]", "Seq. Iteration[a.u.]"), encoding="latin-1")
    ds = formats.read(path)["S 2p"]
    assert ds["intensity"].dims == ("scan", "binding_energy")
    np.testing.assert_array_equal(ds["intensity"].values, y.T)


def test_counting_time_of_all_sweeps():
    # Swept mode, 203 ms steps over 111 detector steps: 2 sweeps in one file, 10 in the other.
    for name, seconds, sweeps in (("Ag_0001", 45.066, 2), ("Ag_0002", 225.33, 10)):
        (ds,) = formats.read(data(f"xps/scienta/{name}.txt")).values()
        assert ds.attrs["counting_time_s"] == seconds == pytest.approx(sweeps * 22.533)

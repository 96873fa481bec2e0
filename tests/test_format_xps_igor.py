"""SPECS Prodigy's Igor text and Scienta's DA30 archives, as public readers describe them."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spectra import formats
from spectra.errors import FormatError

PARAMETERS = """X //Acquisition Parameters:
X //Scan Mode         = Fixed Analyzer Transmission
X //User Comment      = {comment}
X //Analysis Mode     = {mode}
X //Lens Mode         = WideAngleMode
X //Spectrum ID       = 17
X //Number of Scans   = {scans}
X //DwellTime         = 0.1
X //Excitation Energy = {photon}
X //Kinetic Energy    = 1319.6
X //Binding Energy    = 167
X //Pass Energy       = 20
X //WorkFunction      = 4.401
"""
HEAD = """IGOR
X //Created Date (UTC): 2021-Nov-18 12:53:08.227474
X //Igor Text File Exporter Version: 0.3
X //Created by: SpecsLab Prodigy, Version 4.84.2-r101696
"""


def wave(name, table, scales, *, mode="XPS", scans=2, photon=1486.6, comment="cell 3"):
    """Write one wave as Prodigy does: layers apart by an empty line, a line per row."""
    table = np.asarray(table, float)
    layers = table if table.ndim == 3 else table[None]
    size = ",".join(map(str, (*layers.shape[1:], *layers.shape[:1])[: max(table.ndim, 2)]))
    text = "\n\n".join("\n".join(" ".join(f"{v:g}" for v in row) for row in p) for p in layers)
    lines = "\n".join(f"X SetScale/{k}, '{name}'" for k in scales)
    about = PARAMETERS.format(mode=mode, scans=scans, photon=photon, comment=comment)
    return f"{about}WAVES/S/N=({size}) '{name}'\nBEGIN\n{text}\nEND\n{lines}\n"


def written(tmp_path, *waves, newline="\n"):
    path = tmp_path / "run.itx"
    path.write_text((HEAD + "".join(waves)).replace("\n", newline), newline="")
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_prodigy_igor_text_of_slices(tmp_path, newline):
    y = np.arange(24.0).reshape(3, 8) * 5.0  # counts/s, 0.2 s of counting: whole counts
    scales = (
        'I x, -2, 2, "deg (theta_y)"', 'I y, 1319.6, 1320.3, "eV (Kinetic Energy)"',
        'I d, 0, 115, "cps (Intensity)"',
    )  # fmt: skip
    path = written(tmp_path, wave("Spectrum_15_1", y, scales), newline=newline)
    assert formats.identify(path).name == "specs_itx"
    ds = formats.read(path)["Spectrum_15_1"]
    np.testing.assert_allclose(ds["angle"], [-2, 0, 2])
    np.testing.assert_allclose(ds["binding_energy"], 1486.6 - np.linspace(1320.3, 1319.6, 8))
    np.testing.assert_array_equal(ds["intensity"].values[:, ::-1], y)
    assert ds["intensity"].attrs["units"] == "counts/s"
    np.testing.assert_allclose(
        ds["uncertainty"].values[:, ::-1], np.sqrt(np.maximum(y * 0.2, 1)) / 0.2
    )
    assert ds.attrs["sweeps"] == 2
    assert ds.attrs["pass_energy_eV"] == 20
    assert ds.attrs["comment"] == "cell 3"
    assert ds.attrs["measured"].startswith("2021-Nov-18")


def test_repeats_techniques_and_energies_stay_apart(tmp_path):
    y = np.arange(6.0)[:, None]
    binding = ('P x, 160, 0.1, "eV (Binding Energy)"', 'I d, 0, 5, "Counts (Intensity)"')
    kinetic = ('I x, 5, 4.5, "eV (Kinetic Energy)"', 'I d, 0, 5, "cps (Intensity)"')
    path = written(
        tmp_path,
        wave("S2p", y, binding),
        wave("S2p", 2 * y, binding, comment="again"),
        wave("VB", y, kinetic, mode="UPS", photon=21.2182),
    )
    path.write_text(path.read_text().replace("(6,1)", "(6)", 1))  # one dimension, as Igor has it
    regions = formats.read(path)
    assert list(regions) == ["S2p", "S2p #2", "VB"]
    first, second, valence = regions.values()
    np.testing.assert_allclose(first["binding_energy"], 160 + 0.1 * np.arange(6))
    np.testing.assert_array_equal(first["intensity"], np.arange(6))
    assert first["intensity"].dtype.kind == "i"
    assert second.attrs["comment"] == "again"
    np.testing.assert_array_equal(second["intensity"], 2 * np.arange(6))
    assert valence.attrs["method"] == "UPS"
    np.testing.assert_allclose(valence["binding_energy"].values[[0, -1]], [16.2182, 16.7182])


def test_layers_of_a_map(tmp_path):
    y = np.arange(24.0).reshape(2, 3, 4)
    scales = (
        'I x, -2, 2, "deg (theta_y)"', 'I y, 1319, 1322, "eV (Kinetic Energy)"',
        'I z, -1, 1, "a.u. (ShiftX)"', 'I d, 0, 1, "cps (Intensity)"',
    )  # fmt: skip
    ds = formats.read(written(tmp_path, wave("Map1_1", y, scales)))["Map1_1"]
    assert ds["intensity"].dims == ("scan", "angle", "binding_energy")
    np.testing.assert_array_equal(ds["intensity"].values[..., ::-1], y)


GOOD = HEAD + wave(
    "a", np.ones((3, 4)), ('I x, 0, 1, "deg (t)"', 'I y, 10, 13, "eV (Binding Energy)"')
)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("END", "", "no END"),
        ("1 1 1 1\n", "", "8 of 12|4 of 12|0 of 12"),
        ("eV (Binding Energy)", "a.u.", "eV"),
        ("1 1 1 1", "1 x 1 1", "'x'"),
        ("BEGIN", "", "BEGIN"),
        ("(3,4)", "(3,400000000)", "size"),
        ("(3,4)", "(3,4,1,1)", "size"),
        ("10, 13", "10, nan", "SetScale"),
        ("= 1486.6", "= bright", "Excitation"),
    ],
)
def test_damaged_igor_text_says_where(tmp_path, old, new, said):
    path = tmp_path / "a.itx"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(FormatError, match=said):
        formats.read(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cut=st.integers(250, len(GOOD)), at=st.integers(250, len(GOOD) - 1), byte=st.integers(0, 255)
)
def test_any_damage_is_a_format_error(tmp_path, cut, at, byte):
    raw = bytearray(GOOD.encode())
    raw[at] = byte
    path = tmp_path / "m.itx"
    path.write_bytes(bytes(raw[:cut]))
    with contextlib.suppress(FormatError):
        formats.read(path, format="specs_itx")


def archive(path, *, shape=(1, 3, 20), depth="Iteration", axis="Kinetic Energy [eV]", cut=0):
    """Write a DA30 archive; returns its values, shape (depth, height, width)."""
    y = np.random.default_rng(1).poisson(30.0, shape).astype("<f4")
    spectrum = "\r\n".join(
        ["[spectrum]", "name=S2p", f"depth={shape[0]}", f"height={shape[1]}", f"width={shape[2]}",
         "widthoffset=1319.0", "widthdelta=0.05", f"widthlabel={axis}",
         "heightoffset=-3.0", "heightdelta=0.5", "heightlabel=Y-Scale [deg]",
         "depthoffset=-1.5", "depthdelta=0.5", f"depthlabel={depth}"]
    )  # fmt: skip
    info = "\r\n".join(
        ["[SES]", "Region Name=S2p", "Lens Mode=DA30L_01", "Pass Energy=50", "Number of Sweeps=4",
         "Excitation Energy=1486.6", "Sample=cell", "Date=2023-02-01", "Time=10:11:12"]
    )  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("viewer.ini", "[viewer]\r\nregion_list=S2p_1\r\n")
        made.writestr("S2p_1.ini", info)
        made.writestr("Spectrum_S2p_1.ini", spectrum)
        made.writestr("Spectrum_S2p_1.bin", y.tobytes()[: y.nbytes - cut])
    return y


def test_da30_archive(tmp_path):
    path = tmp_path / "run.zip"
    y = archive(path)
    assert formats.identify(path).name == "scienta_zip"
    ds = formats.read(path)["S 2p"]
    assert ds["intensity"].dims == ("angle", "binding_energy")
    np.testing.assert_array_equal(ds["intensity"].values[:, ::-1], y[0])
    np.testing.assert_allclose(ds["angle"], [-3.0, -2.5, -2.0])
    np.testing.assert_allclose(
        ds["binding_energy"].values[::-1], 1486.6 - 1319.0 - 0.05 * np.arange(20), atol=1e-9
    )
    assert ds.attrs["sweeps"] == 4
    assert ds.attrs["sample"] == "cell"
    assert ds["intensity"].attrs["units"] == "counts"


def test_da30_deflection_map_and_runs(tmp_path):
    path = tmp_path / "run.zip"
    y = archive(path, shape=(4, 3, 20), depth="Thetay [deg]")
    ds = formats.read(path)["S 2p"]
    assert ds["intensity"].dims == ("point", "angle", "binding_energy")
    assert json.loads(ds.attrs["deflection_deg"]) == [-1.5, -1.0, -0.5, 0.0]
    np.testing.assert_array_equal(ds["intensity"].values[..., ::-1], y)
    archive(path, shape=(4, 1, 20))
    assert formats.read(path)["S 2p"]["intensity"].dims == ("scan", "binding_energy")


def test_damaged_da30_archives_say_so(tmp_path):
    path = tmp_path / "run.zip"
    archive(path, cut=4)
    with pytest.raises(FormatError, match="236 bytes for 240"):
        formats.read(path)
    archive(path, axis="")
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(FormatError):
        formats.read(path)
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as made:
        made.writestr("notes.txt", "nothing")
    path.write_bytes(other.getvalue())
    with pytest.raises(FormatError, match="not a format known here"):
        formats.read(path)

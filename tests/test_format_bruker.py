"""TopSpin folders, against the authors' integrals, their titles and TopSpin's own export."""

from __future__ import annotations

import csv
import shutil
import struct
import zipfile

import numpy as np
import pytest

from spectra import formats
from spectra.errors import FormatError
from tests.shared_data import data

OPERANDO = "nmr/operando_7Li_LiLi_TEGDME"


def only(path):
    (ds,) = formats.read(path).values()
    return ds


def test_numbered_experiments_become_one_series_with_the_authors_integrals():
    # The integrals over 220 to 310 ppm were published with the data (datalab insitu plug-in).
    ds = only(data(OPERANDO))
    with (data(OPERANDO) / "author_results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert ds["intensity"].dims == ("time", "chemical_shift")
    assert ds.sizes == {"time": 44, "chemical_shift": 8192}
    assert list(ds["experiment"].values) == [int(row["experiment"]) for row in rows]
    published = np.array([float(row["total_integral_220_310ppm"]) for row in rows])
    metal = ds["intensity"].sel(chemical_shift=slice(220, 310))
    ours = np.trapezoid(metal.values, metal["chemical_shift"].values, axis=-1)
    np.testing.assert_allclose(ours, published, rtol=1e-3)
    # The authors took the time stamp of the file, which one experiment has 46 s late.
    late = np.array([float(row["time_s"]) for row in rows]) - ds["time"].values
    assert np.median(np.abs(late)) < 2
    assert np.abs(late).max() < 50
    assert ds.attrs["started"] == "2023-08-11T11:32:23+00:00"
    assert ds.attrs["nucleus"] == "7Li"
    assert "SR 42672" in ds.attrs["calibration"]


def test_one_experiment_equals_topspins_own_text_export():
    folder = data(OPERANDO) / "1"
    ds = only(folder)
    text = (folder / "pdata/1/ascii-spec.txt").read_text().splitlines()
    table = np.array([[float(w) for w in line.split(",")] for line in text if line.count(",") == 3])
    descending = ds["intensity"].values[::-1]
    np.testing.assert_allclose(descending, table[:, 1], rtol=0, atol=0.5)  # whole numbers
    step = abs(table[1, 3] - table[0, 3])
    np.testing.assert_allclose(ds["chemical_shift"].values[::-1], table[:, 3], atol=0.51 * step)


def test_reference_frequency_of_another_nucleus_is_noticed():
    ds = only(data("nmr/bruker_31P_MAS_Ba2P2O7"))
    assert "not that of 31P" in ds.attrs["axis_note"]
    assert "calibration" not in ds.attrs
    x, y = ds["chemical_shift"].values, ds["intensity"].values
    assert abs(x[np.argmax(y)] + 21.9) < 0.1
    other = (x > -19.6) & (x < -18.0)
    assert abs(x[other][np.argmax(y[other])] + 18.9) < 0.1
    assert abs(y[other].max() / y.max() - 1) < 0.05
    # Sidebands 12.50 kHz either side of the stronger line.
    for sign in (-1, 1):
        near = np.abs(x - x[np.argmax(y)] - sign * 12500 / 162.165852) < 1.5
        assert abs(abs(x[near][np.argmax(y[near])] - x[np.argmax(y)]) * 162.165852 - 12500) < 60


def test_phosphoric_acid_lies_at_zero_and_raw_is_read_too():
    folder = data("nmr/bruker_31P_H3PO4_reference")
    ds = only(folder / "1")
    assert ds.sizes == {"chemical_shift": 16384}
    x = ds["chemical_shift"].values
    assert abs(x[0] + 215.2) < 0.1
    assert abs(x[-1] - 288.0) < 0.1
    assert abs(x[np.argmax(ds["intensity"].values)]) < 0.01
    assert "intensity_im" in ds
    fid = only(folder / "1" / "fid")
    assert fid.sizes == {"acquisition_time": 4096}
    assert fid.attrs["group_delay_points"] == pytest.approx(68.0268, abs=1e-3)
    assert not np.any(fid["intensity"].values[fid.attrs["acquired_points"] + 1 :])


def test_zip_with_foreign_entries():
    ds = only(data("nmr/bruker_7Li_MAS_Li2MnFeP2S6_hahnecho.zip"))
    assert ds.sizes == {"chemical_shift": 16384}
    assert ds.attrs["reference_MHz"] - ds.attrs["base_MHz"] == pytest.approx(6259.14e-6, abs=1e-8)
    x, y = ds["chemical_shift"].values, ds["intensity"].values
    assert abs(x[0] + 6387.7) < 0.1
    assert abs(x[-1] - 6467.5) < 0.1
    sideband = (x > -700) & (x < -300)
    spacing = x[np.argmax(y)] - x[sideband][np.argmax(y[sideband])]
    assert abs(spacing - 40e3 / 77.784) < 3


def test_pseudo_2d_rows_are_numbered_where_no_delays_are_stored():
    ds = only(data("nmr/bruker_27Al_MAS_Al2O3_T2_pseudo2D/2"))
    assert ds.sizes == {"scan": 100, "acquisition_time": 768}
    assert "indirect_shift" not in ds.coords


@pytest.mark.parametrize(("name", "what"), [("1r", "spectrum 1r"), ("fid", "signal")])
def test_a_cut_file_is_named_with_its_byte(tmp_path, name, what):
    shutil.copytree(data("nmr/bruker_31P_H3PO4_reference/1"), tmp_path / "1")
    (tmp_path / "1").chmod(0o755)
    file = tmp_path / "1" / ("pdata/1/1r" if name == "1r" else "fid")
    bytes_ = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(bytes_[:5000])
    with pytest.raises(FormatError, match=rf"{what} ends at byte 5000 of"):
        formats.read(tmp_path / "1" if name == "1r" else file)


def test_a_cut_parameter_file_is_an_error_not_a_loop(tmp_path):
    folder = tmp_path / "9"
    (folder / "pdata" / "1").mkdir(parents=True)
    (folder / "acqus").write_text("##$NUC1= <31")
    (folder / "fid").write_bytes(b"\0" * 64)
    with pytest.raises(FormatError, match="truncated"):
        formats.read(folder)


def test_entries_that_leave_a_zip_are_refused(tmp_path):
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../acqus", "##$TD= 8\n")
    with pytest.raises(FormatError, match="leaves the archive"):
        formats.read(path)


def written(folder, *, tiles, proc2s="##$FT_mod= 6\n", doubles=False):
    """A small processed 2D experiment, stored in tiles as TopSpin does."""
    rows, points = 4, 8
    place = folder / "pdata" / "1"
    place.mkdir(parents=True)
    (folder / "acqus").write_text("##$NUC1= <31P>\n##$BF1= 100.0\n##$SFO1= 100.0\n")
    (folder / "acqu2s").write_text("##$NUC1= <1H>\n##$TD= 3\n")
    (place / "procs").write_text(
        f"##$SI= {points}\n##$SW_p= 800\n##$SF= 100.0\n##$OFFSET= 4\n##$XDIM= {tiles[1]}\n"
        f"##$NC_proc= -1\n##$BYTORDP= 1\n##$DTYPP= {2 if doubles else 0}\n"
    )
    (place / "proc2s").write_text(
        f"##$SI= {rows}\n##$SW_p= 400\n##$SF= 100.0\n##$OFFSET= 2\n##$XDIM= {tiles[0]}\n" + proc2s
    )
    matrix = np.arange(rows * points).reshape(rows, points)
    parts = [
        matrix[i : i + tiles[0], j : j + tiles[1]].ravel()
        for i in range(0, rows, tiles[0])
        for j in range(0, points, tiles[1])
    ]
    flat = np.concatenate(parts)
    (place / "2rr").write_bytes(struct.pack(f">{flat.size}{'d' if doubles else 'i'}", *flat))
    return matrix


@pytest.mark.parametrize("doubles", [False, True])
def test_two_dimensional_spectra_are_put_together_from_tiles(tmp_path, doubles):
    matrix = written(tmp_path / "5", tiles=(2, 4), doubles=doubles)
    ds = only(tmp_path / "5")
    assert ds["intensity"].dims == ("indirect_shift", "chemical_shift")
    np.testing.assert_array_equal(ds["intensity"].values, matrix[::-1, ::-1] / 2)
    assert ds["indirect_shift"].values[-1] == 2.0
    assert ds["chemical_shift"].values[-1] == 4.0


def test_pseudo_2d_spectra_keep_their_delays(tmp_path):
    written(tmp_path / "5", tiles=(4, 8), proc2s="##$FT_mod= 0\n")
    (tmp_path / "5" / "vdlist").write_text("1m\n500u\n2\n")
    ds = only(tmp_path / "5")
    np.testing.assert_allclose(ds["evolution_time"].values, [1e-3, 5e-4, 2.0])


def test_experiments_of_two_nuclei_are_two_regions(tmp_path):
    source = data("nmr/bruker_31P_H3PO4_reference/1")
    shutil.copytree(source, tmp_path / "set" / "1")
    shutil.copytree(data(OPERANDO) / "1", tmp_path / "set" / "2")
    found = formats.read(tmp_path / "set")
    assert list(found) == ["31P", "7Li"]
    assert all(ds.sizes.keys() == {"chemical_shift"} for ds in found.values())


def test_text_exports_are_read(tmp_path):
    folder = data(OPERANDO) / "1"
    text, binary = only(folder / "pdata/1/ascii-spec.txt"), only(folder)
    assert text.sizes == {"chemical_shift": 8192}
    np.testing.assert_allclose(text["intensity"].values, binary["intensity"].values, atol=0.5)
    assert text.attrs["reference_MHz"] == pytest.approx(binary.attrs["reference_MHz"], rel=1e-4)
    path = tmp_path / "a.txt"
    head = "# File created = Monday\n# LEFT = 10.0 ppm. RIGHT = -10.0 ppm.\n# SIZE = 5\n"
    path.write_text(head + "1.0\n2.0\n9.0\n4.0\n5.0\n")
    ds = only(path)
    np.testing.assert_allclose(ds["chemical_shift"].values, [-10, -5, 0, 5, 10])
    np.testing.assert_allclose(ds["intensity"].values, [5, 4, 9, 2, 1])
    path.write_text(head + "1.0\n2.0\n")
    with pytest.raises(FormatError, match="2 values, SIZE says 5"):
        formats.read(path)


def test_experiments_without_data_are_left_out_of_a_series_and_named(tmp_path):
    # 21 is absent altogether, 31 was set up but never run: time goes on by the clock of each.
    for number in (1, 11, 41):
        shutil.copytree(data(OPERANDO) / str(number), tmp_path / str(number))
    (tmp_path / "31").mkdir()
    shutil.copy(data(OPERANDO) / "31" / "acqus", tmp_path / "31" / "acqus")
    ds, whole = only(tmp_path), only(data(OPERANDO))
    assert list(ds["experiment"].values) == [1, 11, 41]
    assert ds.attrs["experiments_without_data"] == "31"
    times = dict(zip(whole["experiment"].values, whole["time"].values, strict=True))
    np.testing.assert_array_equal(ds["time"].values, [times[n] for n in (1, 11, 41)])


def test_a_folder_of_experiments_none_of_which_was_run_is_one_line(tmp_path):
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        shutil.copy(data(OPERANDO) / "1" / "acqus", tmp_path / str(number) / "acqus")
    with pytest.raises(FormatError, match="none of the 2 experiments has a fid"):
        formats.read(tmp_path)


def rows_of(folder, *, rows, planned, more="", kind="i"):
    """A raw pseudo-2D experiment of 100 complex points, rows padded to 1024 bytes."""
    folder.mkdir(parents=True)
    (folder / "acqus").write_text(
        "##$NUC1= <7Li>\n##$BF1= 100.0\n##$SFO1= 100.0\n##$TD= 200\n##$SW_h= 1000\n"
        f"##$BYTORDA= 0\n##$DTYPA= {'ifd'.index(kind)}\n{more}"
    )
    (folder / "acqu2s").write_text(f"##$NUC1= <7Li>\n##$TD= {planned}\n")
    values = np.arange(rows * 200).reshape(rows, 200)
    padded = np.zeros((rows, 256))
    padded[:, :200] = values
    (folder / "ser").write_bytes(padded.astype(np.dtype(kind).newbyteorder("<")).tobytes())
    return values


@pytest.mark.parametrize("kind", ["i", "f", "d"])
def test_rows_of_whole_and_real_numbers(tmp_path, kind):
    values = rows_of(tmp_path / "3", rows=3, planned=3, kind=kind)
    ds = only(tmp_path / "3" / "ser")
    assert ds.attrs["acquired_points"] == 100  # what follows them fills the block
    np.testing.assert_array_equal(ds["intensity"].values[:, :100], values[:, 0::2])
    np.testing.assert_array_equal(ds["intensity_im"].values[:, :100], values[:, 1::2])
    assert not ds["intensity"].values[:, 100:].any()


def test_an_experiment_stopped_early_keeps_its_whole_rows(tmp_path):
    values = rows_of(tmp_path / "3", rows=5, planned=64)
    ds = only(tmp_path / "3" / "ser")
    assert ds.sizes == {"scan": 5, "acquisition_time": 128}
    assert ds.attrs["rows_planned"] == 64
    np.testing.assert_array_equal(ds["intensity"].values[:, :100], values[:, 0::2])
    file = tmp_path / "3" / "ser"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(FormatError, match="64 rows of ser"):
        formats.read(file)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("##$FnTYPE= 2\n", "non-uniformly"),
        ("##$AQ_mod= 2\n", "qseq: the signal is not of complex"),
        ("##$DTYPA= 7\n", "data type 7"),
    ],
)
def test_signals_that_are_not_rows_of_complex_points_are_one_line(tmp_path, more, message):
    rows_of(tmp_path / "3", rows=3, planned=3, more=more)
    with pytest.raises(FormatError, match=message):
        formats.read(tmp_path / "3" / "ser")

"""Oddities of multichannel formats, as small files written here after the vendors' layouts."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import workbench as wb
from spectra import formats
from spectra.convention import check
from spectra.errors import FormatError

ROWS = "\n".join(str(i % 7) for i in range(64))


def one(path, **more):
    (ds,) = formats.read(path, **more).values()
    return check(ds)


def test_epics_without_elements_and_with_decimal_commas(tmp_path):
    path = tmp_path / "scan.007"
    path.write_text(
        "VERSION:    3.0\nDATE:   OCT 01, 2003 11:35:55.**\nCHANNELS:   64\nROIS:  0\n"
        "REAL_TIME: 12,5\nLIVE_TIME: 11,5\nCAL_OFFSET: 1,0e-002\nCAL_SLOPE: 5,0e-002\n"
        f"CAL_QUAD: 0,0e+000\nTWO_THETA: 0,0\nDATA:\n{ROWS}\n"
    )
    ds = one(path)
    assert float(ds["live_time"]) == 11.5
    assert ds.attrs["header_c1_keV"] == 0.05
    assert "header_two_theta_deg" not in ds.attrs
    assert "calibration" not in ds.attrs


@pytest.mark.parametrize("elements", [2, 10, 192])
def test_epics_elements_have_their_own_scales(tmp_path, elements):
    path = tmp_path / "x.xmca"
    slopes = " ".join(f"{0.05 + 1e-4 * k:.6e}" for k in range(elements))
    rows = "\n".join(" ".join([str(i)] * elements) for i in range(64))
    path.write_text(
        f"VERSION:    3.1\r\nELEMENTS:   {elements}\r\nCHANNELS:   64\r\nCAL_OFFSET: 0.0\r\n"
        f"CAL_SLOPE: {slopes}\r\nCAL_QUAD: 0.0\r\nDATA: \r\n{rows}\r\n"
    )
    ds = one(path)
    assert ds["intensity"].dims == ("detector", "channel")
    assert np.allclose(ds["header_c1_keV"], 0.05 + 1e-4 * np.arange(elements))
    path.write_text(path.read_text().replace(slopes, " ".join(slopes.split()[:-1]) or "x"))
    if elements > 2:  # one value would stand for all
        with pytest.raises(FormatError, match="CAL_SLOPE"):
            formats.read(path)


def test_amptek_units_and_locale(tmp_path):
    path = tmp_path / "x.mca"
    path.write_text(
        "<<PMCA SPECTRUM>>\nTAG - live_data\nLIVE_TIME - 109,680000\nREAL_TIME - 120,000000\n"
        "<<CALIBRATION>>\nLABEL - eV\n10 1000,0\n50 5000,0\n<<DATA>>\n" + ROWS + "\n<<END>>\n"
        "<<DP5 CONFIGURATION>>\nRESC=?;    Reset Configuration\n<<DP5 CONFIGURATION END>>\n",
        "utf-8-sig",
    )
    ds = one(path, technique="edxrd")
    assert float(ds["live_time"]) == pytest.approx(109.68)
    assert ds.attrs["header_c1_keV"] == pytest.approx(0.1)


def test_spe_that_announces_the_number_of_channels(tmp_path):
    path = tmp_path / "x.Spe"
    path.write_text(
        "$SPEC_ID:\nx\n$MEAS_TIM:\n10 11\n$DATA:\n0 64\n" + ROWS + "\n$ENER_FIT:\n0 1\n"
    )
    ds = one(path, technique="edxrd")
    assert ds.sizes["channel"] == 64  # and a scale of (0, 1) is none
    path.write_text("$SPEC_ID:\nx\n$DATA:\n0 65\n" + ROWS + "\n")
    with pytest.raises(FormatError, match="truncated"):
        formats.read(path, technique="edxrd")


def spec(*heads, spectra):
    lines = ["#F x", "#S 1 ascan samz 0 1 1 1", "#D Mon Nov 23 10:00:00 2026", "#N 2", *heads,
             "#L samz  det"]  # fmt: skip
    for k, rows in enumerate(spectra):
        lines.append(f"{0.5 * k} {k}")
        for row in rows:
            half = len(row) // 2
            text = (" ".join(map(str, row[:half])), " ".join(map(str, row[half:])))
            lines.append(f"@A {text[0]}\\\n {text[1]}")
    return "\n".join(lines) + "\n"


def test_spec_with_two_analysers_of_one_length(tmp_path):
    path = tmp_path / "x.spec"
    counts = np.random.default_rng(1).poisson(5.0, (3, 2, 16))
    head = "#@MCA %16C\n#@CHANN 16 0 15 1\n#@CALIB {} 0.05 0"
    path.write_text(spec(head.format(0.1), head.format(0.2), spectra=counts))
    ds = one(path)
    assert ds["intensity"].dims == ("detector", "scan", "channel")
    assert np.array_equal(ds["intensity"], counts.transpose(1, 0, 2))
    assert np.allclose(ds["header_c0_keV"], [0.1, 0.2])
    assert np.allclose(ds["motor_samz"], [0.0, 0.5, 1.0])


def test_spec_with_two_analysers_of_other_lengths(tmp_path):
    path = tmp_path / "x.spec"
    rows = [[list(range(16)), list(range(32))]] * 2
    path.write_text(
        spec("#@CHANN 16 0 15 1\n#@CALIB 0 1 0", "#@CHANN 32 0 31 1\n#@CALIB 0.2 0.05 0",
             spectra=rows)
    )  # fmt: skip
    regions = formats.read(path)
    assert list(regions) == ["1_mca0", "1_mca1"]
    assert "header_c1_keV" not in regions["1_mca0"].attrs  # (0, 1, 0) is no calibration
    assert regions["1_mca1"].attrs["header_c1_keV"] == 0.05
    assert regions["1_mca1"]["intensity"].shape == (2, 32)


def test_spec_without_calibration_has_none(tmp_path):
    path = tmp_path / "x.spec"
    path.write_text(spec("#@CHANN 16 0 15 1", spectra=[[list(range(16))]] * 2))
    ds = one(path)
    assert ds["intensity"].dims == ("scan", "channel")
    assert not any(k.startswith("header_c") for k in ds.attrs)


def test_fio_whose_columns_are_spectra(tmp_path):
    path = tmp_path / "au_00456_mca_s3.fio"
    rows = "\n".join(f" {i % 5} {i % 3}" for i in range(256))
    path.write_text(
        "!\n! Comments\n%c\nmca\n%p\nSAMPLE_TIME = 2.5\n%d\n Col 1 d1_mca01 FLOAT\n"
        f" Col 2 d1_mca02 FLOAT\n{rows}\n"
    )
    regions = formats.read(path)
    assert list(regions) == ["d1_mca01", "d1_mca02"]
    ds = check(regions["d1_mca02"])
    assert ds["intensity"].shape == (256,)
    assert float(ds["real_time"]) == 2.5
    motors = tmp_path / "scan_00001.fio"
    motors.write_text(path.read_text().replace("d1_mca0", "eu.x"))
    with pytest.raises(FormatError, match="motors"):
        formats.read(motors)


@pytest.mark.parametrize(("old", "new", "says"), [
    (" Col 2 eu.x DOUBLE", " Col 2", "names no column"),
    (" 1 0.5", " inf 0.5", "not finite"),
    (" 1 0.5", " 1", "2 columns"),
])  # fmt: skip
def test_damaged_fio(tmp_path, old, new, says):
    path = tmp_path / "s_00001.fio"
    text = "!\n%p\n%d\n Col 1 xspress3_index DOUBLE\n Col 2 eu.x DOUBLE\n 0 0.1\n 1 0.5\n"
    path.write_text(text.replace(old, new))
    with pytest.raises(FormatError, match=says):
        formats.read(path)


def test_xspress3_dead_time_in_ticks(tmp_path):
    path = tmp_path / "scan_00001.nxs"
    counts = np.ones((3, 512), np.uint32)
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/instrument/xspress3/channel00")
        group["histogram"] = counts
        group["scaler/deadtimeticks"] = np.array([0.0, 8e6, 16e6])
        group["scaler/totalticks"] = np.full(3, 80e6)
    ds = one(path)
    assert np.allclose(ds["real_time"], 1.0)
    assert np.allclose(ds["live_time"], [1.0, 0.9, 0.8])
    fio = tmp_path / "scan.fio"  # its spectra lie in a folder of its name
    fio.write_text("!\n%p\n%d\n Col 1 xspress3_index DOUBLE\n Col 2 eu.x DOUBLE\n 1 0.1\n")
    (tmp_path / "scan").mkdir()
    with h5py.File(tmp_path / "scan" / "scan_00001.nxs", "w") as file:
        file["entry/instrument/xspress3/channel00/histogram"] = counts[:1]
    path.unlink()
    assert one(fio)["intensity"].shape == (1, 512)


@pytest.mark.parametrize(("shape", "dims"), [
    ((5, 1024), ("scan", "channel")),
    ((5, 23, 2048), ("scan", "detector", "channel")),
    ((1, 4, 4096), ("detector", "channel")),
    ((6, 1, 1024), ("scan", "channel")),
])  # fmt: skip
def test_detector_stacks(tmp_path, shape, dims):
    path = tmp_path / "scan_0001.h5"
    counts = np.random.default_rng(2).poisson(1.0, shape).astype(np.uint32)
    with h5py.File(path, "w") as file:
        file["entry/instrument/detector/data"] = counts
        file["entry/data/data"] = h5py.SoftLink("/entry/instrument/detector/data")
    ds = one(path)
    assert ds["intensity"].dims == dims
    assert int(ds["intensity"].sum()) == int(counts.sum())
    assert ds.attrs["technique"] == "edxrd"


def test_images_are_not_taken_for_spectra(tmp_path):
    path = tmp_path / "image.h5"
    with h5py.File(path, "w") as file:
        file["entry/instrument/detector/data"] = np.zeros((2, 300, 512), np.uint16)
        file["entry/instrument/other/data"] = np.zeros((4, 1024))
    with pytest.raises(FormatError):
        formats.read(path)


def test_spe_of_careless_writers(tmp_path):
    """No colon after $DATA, coefficients without their number, an empty scale before a good one."""
    counts = "".join(f"       {k % 9}\r\n" for k in range(64))
    path = tmp_path / "a.Spe"
    path.write_bytes(
        f"$SPEC_ID:\r\nx\r\n$MEAS_TIM:\r\n100,5 110,0\r\n$DATA\r\n0 63\r\n{counts}"
        "$ROI:\r\n1\r\n3 9\r\n$MCA_CAL:\r\n0,1 0,05 0,0 keV\r\n".encode()
    )
    ds = wb.open(path, technique="edxrd")
    assert ds.attrs["header_c1_keV"] == pytest.approx(0.05)
    assert float(ds["live_time"]) == pytest.approx(100.5)
    assert ds["intensity"].size == 64
    path.write_bytes(
        f"$SPEC_ID:\nx\n$DATA:\n0 63\n{counts}$ENER_FIT:\n0.2 0.04\n$MCA_CAL:\n3\n0 0 0\n".encode()
    )
    assert wb.open(path, technique="edxrd").attrs["header_c1_keV"] == pytest.approx(0.04)


def test_epics_with_blank_lines_and_ampersands(tmp_path):
    rows = "".join(f"{k % 5} {k % 3}\r\n" for k in range(32))
    path = tmp_path / "b.xmca"
    path.write_bytes(
        b"DATE:      OCT 10, 2018\r\nVERSION:    3.1\r\nELEMENTS:   2\r\nCHANNELS:   32\r\n"
        b"ROIS:       1 0\r\nCAL_OFFSET: 0.1& 0.2&\r\nCAL_SLOPE:  0.05& 0.06&\r\n"
        b'ROI_0_LEFT: 3& &\r\nENVIRONMENT: X="1: 2" (a)\r\nDATA: \r\n\r\n' + rows.encode()
    )
    ds = wb.open(path)
    np.testing.assert_allclose(ds["header_c1_keV"].values, [0.05, 0.06])
    np.testing.assert_array_equal(ds["intensity"].values[1], np.arange(32) % 3)


def i12(file, counts):
    """Write what GDA writes at Diamond: a dataset per element."""
    for k in range(3):
        group = file.create_group(f"entry1/EDXD_Element_{k:02d}")
        group.create_dataset("data", data=counts + k)
        group.create_dataset("edxd_energy_approx", data=np.arange(512) * 0.1)


def bliss(file, counts):
    for k in range(3):
        file.create_dataset(f"1.1/measurement/mca_det{k}", data=counts + k)
    file.create_dataset("1.1/measurement/samy", data=np.arange(4.0))


def pyxrf(file, counts):
    for k in range(3):
        file.create_dataset(f"xrfmap/det{k + 1}/counts", data=counts.reshape(2, 2, 512) + k)
    file.create_dataset("xrfmap/detsum/counts", data=3 * counts.reshape(2, 2, 512))


@pytest.mark.parametrize(("write", "outer"), [
    (i12, {"scan": 4, "detector": 3}),
    (bliss, {"scan": 4, "detector": 3}),
    (pyxrf, {"scan": 2, "point": 2, "detector": 3}),
])  # fmt: skip
def test_layouts_of_beamlines(tmp_path, write, outer):
    counts = np.random.default_rng(1).poisson(4, (4, 512))
    path = tmp_path / "map.h5"
    with h5py.File(path, "w") as file:
        write(file, counts)
    ds = wb.open(path)
    assert dict(ds["intensity"].sizes.items() - {(ds["intensity"].dims[-1], 512)}) == outer
    found = ds["intensity"].values.reshape(4, 3, 512)
    np.testing.assert_array_equal(found[:, 2], counts + 2)
    assert "calibration" not in ds.attrs

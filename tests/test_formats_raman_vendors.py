"""Horiba, WITec and B&W Tek: real files against what is known of them, variants written here."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from spectra.errors import FormatError
from spectra.formats import registry
from spectra.formats.registry import read
from tests.contracts import format_contract as contract
from tests.shared_data import data


def opened(name, **told):
    (ds,) = read(data(f"raman/{name}"), **told).values()
    return ds


def written(tmp_path, text, name="a.txt", encoding="latin-1"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    (ds,) = read(path).values()
    return ds


def highest(ds, low, high):
    part = ds["intensity"].sel({ds["intensity"].dims[-1]: slice(low, high)})
    return float(part.idxmax())


def test_labspec_spectrum_keeps_its_header():
    ds = opened("horiba/labspec_raman_example.txt")
    assert ds.sizes == {"raman_shift": 341}
    assert ds["raman_shift"].values[[0, -1]] == pytest.approx([201.795, 798.3], abs=0.1)
    assert ds.attrs["acquisition_time_s"] == 300
    assert ds.attrs["accumulations"] == 12
    assert ds.attrs["laser_nm"] == 532
    assert ds.attrs["stage_z_um"] == 7.9
    # Baseline-subtracted by LabSpec: negative, so no counts.
    assert ds["intensity"].attrs["units"] == "1"
    assert "Base:Sub" in ds.attrs["labspec_processing"]


def test_labspec_map_of_irregular_outline_keeps_its_gaps():
    ds = opened("horiba/labspec_map.txt")
    assert ds.sizes == {"point": 398, "raman_shift": 616}
    assert np.unique(ds["x"]).size == 37
    assert np.unique(ds["y"]).size == 20
    assert ds.attrs["grid_gaps"] == 740 - 398
    assert ds["raman_shift"].values[[0, -1]] == pytest.approx([50, 3500])
    assert float((ds["intensity"] == 0).mean()) == pytest.approx(0.65, abs=0.01)
    assert highest(ds["intensity"].mean("point").to_dataset(name="intensity"), 2700, 3100) == (
        pytest.approx(2917, abs=6)
    )
    assert (float(ds["x"][0]), float(ds["y"][0])) == (-60.6119, -40.8551)


HEAD = "#Acq. time (s)=\t1\n#Accumulations=\t2\n#AxisType[0]=\tIntens\n#AxisUnit[0]=\t{unit}\n"
HEAD += "#AxisType[1]=\tSpectr\n#AxisUnit[1]=\t{axis}\n"


@pytest.mark.parametrize("comma", [False, True])
def test_labspec_full_map_becomes_a_grid_in_either_locale(tmp_path, comma):
    text = HEAD.format(unit="Cnt", axis="1/cm") + "#AxisType[2]=\tX\n#AxisType[3]=\tY\n"
    text += "\t\t" + "\t".join(f"{100.5 + i}" for i in range(12)) + "\n"
    for y in (0.5, 1.5):
        for x in (-1.5, 0.0, 1.5):
            text += f"{y}\t{x}\t" + "\t".join(f"{10 * y + x + i}" for i in range(12)) + "\n"
    ds = written(tmp_path, text.replace(".", ",") if comma else text)
    assert ds["intensity"].dims == ("y", "x", "raman_shift")
    assert ds["x"].values.tolist() == [-1.5, 0.0, 1.5]
    assert ds["intensity"].sel(y=1.5, x=-1.5).values[0] == pytest.approx(13.5)
    assert ds["raman_shift"].values[0] == 100.5


def test_labspec_time_series_and_depth(tmp_path):
    for told, dim in (("Time", "time"), ("Z", "z")):
        text = HEAD.format(unit="Cnt/sec", axis="nm") + f"#AxisType[2]=\t{told}\n"
        text += "\t" + "\t".join(str(500 + i) for i in range(11)) + "\n"
        text += "".join(f"{t}\t" + "\t".join(["2.5"] * 11) + "\n" for t in (0, 5, 10))
        ds = written(tmp_path, text)
        assert ds["intensity"].dims == (dim, "wavelength")
        assert ds[dim].values.tolist() == [0, 5, 10]
        assert ds["intensity"].attrs["units"] == "counts/s"


def test_labspec_older_headers(tmp_path):
    head = "#Acq. time (s)=\t2\n#Accumulations=\t1\n#Range (nm)=\t500...510\n"
    ds = written(tmp_path, head + "500\t502\t505\n7\t8\t9\n")
    assert ds["wavelength"].values.tolist() == [500, 502, 505]
    assert ds["intensity"].values.tolist() == [7, 8, 9]
    line = head + "\t500\t502\t505\n" + "".join(f"{i}\t7\t8\t{i}\n" for i in (1, 2))
    ds = written(tmp_path, line, "b.txt")
    assert ds["intensity"].dims == ("scan", "wavelength")
    assert ds["place"].values.tolist() == [1, 2]


def test_labspec_xml():
    one = opened("horiba/jobinyvon_test_spec.xml")
    assert one.sizes == {"wavelength": 34}
    assert one["wavelength"].values[[0, -1]] == pytest.approx([522.574, 537.361])
    assert float(one["intensity"].max()) == 1496
    assert one.attrs["laser_nm"] == pytest.approx(632.817)
    grid = opened("horiba/jobinyvon_test_map_x3-y2.xml")
    assert grid["intensity"].dims == ("y", "x", "wavelength")
    assert grid["x"].values.tolist() == [-2, 0, 2]
    assert grid["y"].values.tolist() == [-1, 1]
    assert float(grid["intensity"].max()) == 295.5
    # Row 1 of the file is the second place along x; its first value belongs to 771.797 nm.
    assert float(grid["intensity"].sel(x=0, y=-1)[-1]) == 295.5
    assert float(grid["intensity"].sel(x=-2, y=1)[-1]) == 257


def test_labspec_xml_with_too_few_spectra(tmp_path):
    text = data("raman/horiba/jobinyvon_test_map_x3-y2.xml").read_text()
    start, stop = text.index('<LSX_Row Format="6" Index="4"'), text.index("</LSX_Matrix>")
    ds = written(tmp_path, text[:start] + text[stop:], "a.xml", "utf-8")
    assert ds["intensity"].dims == ("point", "wavelength")
    assert ds["x"].values.tolist() == [-2, 0, 2, -2]
    assert ds.attrs["missing_spectra"] == 2


def test_witec_ascii_stays_a_wavelength():
    ds = opened("witec/Si-wafer-Raman-Spectrum-1.txt")
    assert ds.sizes == {"wavelength": 1600}
    assert ds["wavelength"].values[[0, -1]] == pytest.approx([530.78, 661.9], abs=0.1)
    line = highest(ds, 540, 555)
    assert 1e7 / 532.0 - 1e7 / line == pytest.approx(520, abs=12)


def test_witec_tables_hold_the_same_numbers():
    full = opened("witec/Witec-Map_full.txt")
    assert full.sizes == {"point": 25, "raman_shift": 1024}
    assert full["column"].values.tolist() == [0, 1, 2, 3, 4] * 5
    assert full["row"].values.tolist() == sorted([0, 1, 2, 3, 4] * 5)
    assert full["intensity"].attrs["units"] == "counts"
    for variant in ("label", "unit"):
        other = opened(f"witec/Witec-Map_{variant}.txt")
        assert np.array_equal(other["intensity"], full["intensity"])
        assert np.array_equal(other["raman_shift"], full["raman_shift"])
    bare = opened("witec/Witec-Map_no.txt", technique="raman")
    assert np.array_equal(bare["intensity"], full["intensity"])
    with pytest.raises(FormatError, match="technique"):
        opened("witec/Witec-Map_no.txt")
    mean = full.mean("point")
    for low, high, at in ((500, 550, 525.7), (290, 330, 311.6), (900, 1000, 955.7)):
        assert highest(mean, low, high) == pytest.approx(at, abs=3.3)


def test_witec_german_table(tmp_path):
    text = "X-Axis\tA(0/0)\tA(1/0)\nrel. 1/cm\tCCD cts\tCCD cts\n"
    text += "".join(f" 1,{i}E+02\t 2,5E+00\t 3,0E+00\n" for i in range(9))
    ds = written(tmp_path, text)
    assert ds["raman_shift"].values[[0, 8]] == pytest.approx([100, 180])
    assert ds["intensity"].values[:, 0].tolist() == [2.5, 3.0]
    assert ds["column"].values.tolist() == [0, 1]


def test_witec_ascii_map_with_the_size_of_the_scan(tmp_path):
    text = "//Exported ASCII-File\n[Header]\nGraphName = m\nSizeX = 3\nSizeY = 2\nSizeGraph = 4\n"
    text += "ScanUnit = \xb5m\nScanWidth = 6\nScanHeight = 2\nScanOriginX = 10\n"
    text += "ScanOriginY = 1\nXAxisUnit = rel. 1/cm\nDataUnit = CCD cts\n\n[Data]\n"
    text += "X-Axis\t" + "\t".join("abcdef") + "\nrel. 1/cm" + "\tCCD cts" * 6 + "\n"
    text += "".join(f"{100 + i}\t" + "\t".join("012345") + "\n" for i in range(4))
    ds = written(tmp_path, text)
    assert ds["intensity"].dims == ("y", "x", "raman_shift")
    assert ds["x"].values.tolist() == [7, 9, 11]
    assert ds["y"].values.tolist() == [1, 2]
    assert ds["intensity"].sel(x=9, y=2, raman_shift=100) == 1
    assert ds["intensity"].sel(x=7, y=1, raman_shift=100) == 3


def test_bwtek_comma_separated_and_microseconds(tmp_path):
    text = "File Version;BWSpec4.04_00\n\nDate,2017-03-17 07:52:28\n"
    text += "intigration times(us),500000\naverage number,1\nlaser_wavelength,785.02\n"
    text += "Pixel,Wavelength,Wavenumber,Raman Shift,Dark,Reference,Raw data #1,\n"
    text += "0,   ,   ,   ,1873.0000,65535.0000,1519.0000,\n"
    text += "".join(f"{i},816.{i},12243.2,49{i}.5,10.0,65535.0,1{i}.0,\n" for i in range(1, 5))
    ds = written(tmp_path, text, "a.csv")
    assert ds["raman_shift"].values.tolist() == [491.5, 492.5, 493.5, 494.5]
    assert ds["intensity"].values.tolist() == [11, 12, 13, 14]
    assert ds["intensity"].attrs["units"] == "counts"
    assert ds["background"].values.tolist() == [10] * 4
    assert ds.attrs["acquisition_time_s"] == 0.5
    assert ds.attrs["laser_nm"] == 785.02


def test_bwtek_keeps_raw_data_and_dark_apart():
    ds = opened("calibration/FMNT-M_BW532/S0N10_iR532_Probe_100_30000msx3.txt")
    assert ds.attrs["laser_nm"] == 532.02
    assert ds.attrs["acquisition_time_s"] == 30
    assert ds.attrs["accumulations"] == 3
    assert ds.sizes["raman_shift"] < 2048
    signal = (ds["intensity"] - ds["background"]).to_dataset(name="intensity")
    assert highest(signal, 480, 560) == pytest.approx(519.7, abs=0.1)
    assert highest(signal, 2300, 2350) == pytest.approx(2328.8, abs=2)


def test_a_baseline_lies_above_the_dark_spectrum():
    ds = opened("calibration/FMNT-M_BW532/S0N10_iR532_Probe_100_30000msx3.txt")
    once = wb.correct(ds, "baseline", algorithm="arpls")
    assert np.array_equal(once["dark"], ds["background"])
    above = ds.assign(intensity=(ds["intensity"] - ds["background"]).assign_attrs(units="1"))
    known = wb.correct(above.drop_vars("background"), "baseline", algorithm="arpls")["background"]
    assert np.allclose(once["background"] - once["dark"], known)
    twice = wb.correct(once, "baseline", algorithm="arpls")
    assert np.allclose(twice["background"], once["background"])


def test_bwtek_polystyrene():
    ds = opened("calibration/FMNT-M_BW532/PST10_iR532_Probe_100_3000msx7.txt")
    signal = (ds["intensity"] - ds["background"]).to_dataset(name="intensity")
    for at in (1000.4, 1032.1, 1602.6, 2906.2, 3053.0):
        assert highest(signal, at - 15, at + 15) == pytest.approx(at, abs=2)  # a pixel


def test_every_calibration_file_opens():
    for path in sorted(data("raman/calibration").rglob("*.txt")):
        (ds,) = read(path, technique="raman" if "Ho785" in path.parent.name else None).values()
        assert ds["intensity"].ndim == 1


def test_the_broken_text_is_refused():
    path = data("raman/carbon_dg/wrong-values-in-lines_pos1.txt")
    with pytest.raises(FormatError, match="wrong-values"):
        read(path, technique="raman")
    with pytest.raises(FormatError, match=r"line 13.*aaaa"):
        read(path, format="table_text", technique="raman")


@pytest.mark.parametrize(
    "name",
    [
        "horiba/labspec_raman_example.txt",
        "horiba/jobinyvon_test_map_x3-y2.xml",
        "witec/Si-wafer-Raman-Spectrum-1.txt",
        "calibration/FMNT-M_BW532/S0N10_iR532_Probe_100_30000msx3.txt",
    ],
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_damage_is_a_format_error(tmp_path, name, seed):
    source = data(f"raman/{name}")
    record = registry.identify(source)
    rng = np.random.default_rng(seed)
    content = bytearray(source.read_bytes()[:60_000])
    for at in rng.integers(0, len(content), 6):
        content[int(at)] = int(rng.integers(0, 256))
    path = tmp_path / source.name
    path.write_bytes(bytes(content[: rng.integers(1, len(content))]))
    contract.damage_is_an_error_in_words(record, path)

"""JCAMP-DX, Raman Open Database, RRUFF, Ocean Optics and WiRE text."""

from __future__ import annotations

import numpy as np
import pytest

from spectra.errors import FormatError
from spectra.formats import registry
from spectra.formats.registry import read
from tests.contracts import format_contract as contract
from tests.shared_data import data


def written(tmp_path, text, name="a.txt"):
    path = tmp_path / name
    path.write_text(text, encoding="latin-1")
    return read(path)


def test_tannic_acid_keeps_its_header():
    (ds,) = read(data("raman/jcamp_spc_rod/tannic_acid.jdx")).values()
    assert ds.sizes == {"raman_shift": 1949}
    assert float(ds["intensity"].max()) == 300.889
    assert float(ds["intensity"][0]) == 42.644
    assert ds["raman_shift"].values[[0, -1]].tolist() == [100.595, 2854.713]


def jcamp(body, form="(X++(Y..Y))", kind="RAMAN SPECTRUM", **more):
    records = {"TITLE": "t", "JCAMP-DX": "5.01", "DATA TYPE": kind, "XUNITS": "1/CM"}
    records |= {"YUNITS": "COUNTS", "XFACTOR": "1", "YFACTOR": "1"} | more
    text = "".join(f"##{k}= {v}\n" for k, v in records.items())
    return f"{text}##XYDATA= {form}\n{body}\n##END=\n"


# The table of McDonald and Wilks (1988), the same twelve numbers in every packing.
PACKED = {
    "affn": "400 99 98 97 96 98\n405 93 89 82 91 90 86 81",
    "pac": "400+99+98+97+96+98\n405+93+89+82+91+90+86+81",
    "sqz": "400I9I8I7I6I8\n405I3H9H2I1I0H6H1",
}


@pytest.mark.parametrize("packing", ["affn", "pac", "sqz"])
def test_packings_are_one(tmp_path, packing):
    more = {"FIRSTX": "400", "LASTX": "411", "NPOINTS": "12", "FIRSTY": "99"}
    (ds,) = written(tmp_path, jcamp(PACKED[packing], **more), "a.jdx").values()
    assert ds["intensity"].values.tolist() == [99, 98, 97, 96, 98, 93, 89, 82, 91, 90, 86, 81]
    assert ds["intensity"].attrs["units"] == "counts"
    assert ds["raman_shift"].values.tolist() == list(range(400, 412))


def test_differences_and_repeats(tmp_path):
    # 10, +1, that again, +0, that again; then the check value 12, +2, -10.
    more = {"FIRSTX": "100", "LASTX": "106", "NPOINTS": "7", "FIRSTY": "5", "YFACTOR": "0.5"}
    (ds,) = written(tmp_path, jcamp("100A0JT%T\n104A2Kj0", **more), "a.jdx").values()
    assert ds["intensity"].values.tolist() == [5, 5.5, 6, 6, 6, 7, 2]


def test_a_wrong_check_value_or_missing_line_is_refused(tmp_path):
    more = {"FIRSTX": "100", "LASTX": "104", "NPOINTS": "5"}
    with pytest.raises(FormatError, match="check value"):
        written(tmp_path, jcamp("100A0JJ\n102A9JJ", **more), "a.jdx")
    with pytest.raises(FormatError, match="NPOINTS"):
        written(tmp_path, jcamp("100 1 2 3", **more), "b.jdx")
    with pytest.raises(FormatError, match="by its line"):
        written(tmp_path, jcamp("100 1 2\n202 3 4 5", **more), "c.jdx")


def test_pairs_with_decimal_comma_and_descending_nanometres(tmp_path):
    body = "700,5 12\n600,25 13,5\n500,0 14"
    text = jcamp(body, "(XY..XY)", XUNITS="NANOMETERS", NPOINTS="3")
    text = text.replace("##XUNITS", "##EXCITATION WAVELENGTH= 532 nm\n##XUNITS")
    (ds,) = written(tmp_path, text, "a.dx").values()
    assert ds["wavelength"].values.tolist() == [500, 600.25, 700.5]
    assert ds["intensity"].values.tolist() == [14, 13.5, 12]
    assert ds.attrs["laser_nm"] == 532


def test_linked_blocks_and_infrared(tmp_path):
    more = {"FIRSTX": "100", "LASTX": "102", "NPOINTS": "3"}
    one = jcamp("100 1 2 3", **more).replace("TITLE= t", "TITLE= first")
    infrared = jcamp("100 1 2 3", kind="INFRARED SPECTRUM", **more)
    two = jcamp("100 4 5 6", **more).replace("TITLE= t", "TITLE= second")
    link = "##TITLE= all\n##JCAMP-DX= 5.01\n##DATA TYPE= LINK\n##BLOCKS= 3\n"
    found = written(tmp_path, link + one + infrared + two + "##END=\n", "a.jdx")
    assert list(found) == ["first", "second"]
    with pytest.raises(FormatError, match="INFRARED SPECTRUM: not a Raman"):
        written(tmp_path, infrared, "b.jdx")


TUPLES = (
    "##TITLE= series\n##JCAMP-DX= 5.01\n##DATA TYPE= RAMAN SPECTRUM\n##DATA CLASS= NTUPLES\n"
    "##NTUPLES= RAMAN SPECTRUM\n##VAR_NAME= RAMAN SHIFT, INTENSITY, PLACE\n"
    "##SYMBOL= X, Y, {symbol}\n##VAR_TYPE= INDEPENDENT, DEPENDENT, INDEPENDENT\n"
    "##VAR_FORM= AFFN, ASDF, AFFN\n##VAR_DIM= 5, 5, 2\n##UNITS= 1/CM, COUNTS, {unit}\n"
    "##FIRST= 108, 10, 0\n##LAST= 100, 14, 30\n##FACTOR= 0.5, 1, 1\n"
    "##PAGE= {symbol}=0\n##DATA TABLE= (X++(Y..Y)), XYDATA\n216 10 11 12 13 14\n"
    "##PAGE= {symbol}=30\n##DATA TABLE= (X++(Y..Y)), XYDATA\n216B0JJJJ\n"
    "##END NTUPLES= RAMAN SPECTRUM\n##END=\n"
)


def test_pages_of_ntuples_are_a_series(tmp_path):
    (ds,) = written(tmp_path, TUPLES.format(symbol="T", unit="MINUTES"), "a.jdx").values()
    assert ds["intensity"].dims == ("time", "raman_shift")
    assert list(ds["time"].values) == [0, 1800]
    assert list(ds["raman_shift"].values) == [100, 102, 104, 106, 108]
    assert ds["intensity"].values.tolist() == [[14, 13, 12, 11, 10], [24, 23, 22, 21, 20]]
    assert ds["intensity"].attrs["units"] == "counts"
    (ds,) = written(tmp_path, TUPLES.format(symbol="P", unit="BAR"), "b.jdx").values()
    assert ds["intensity"].dims == ("scan", "raman_shift")
    assert list(ds["page"].values) == [0, 30]
    with pytest.raises(FormatError, match=r"NTUPLES of R, I, T; read are those of X and Y"):
        written(tmp_path, TUPLES.format(symbol="T", unit="S").replace("X, Y,", "R, I,"), "c.jdx")
    with pytest.raises(FormatError, match=r"4 points, NPOINTS says 5"):
        written(tmp_path, TUPLES.format(symbol="T", unit="S").replace(" 14\n", "\n"), "d.jdx")


def test_nmr_is_not_claimed():
    raman = registry.formats()["raman_jcamp"]
    text = jcamp("1 2 3", kind="NMR SPECTRUM").encode()
    assert not raman.sniff(text, data("raman/README.md"))


def test_raman_open_database():
    (ds,) = read(data("raman/jcamp_spc_rod/rod_file_1000679.rod")).values()
    assert ds.sizes == {"raman_shift": 1159}
    assert ds["raman_shift"].values[[0, -1]].tolist() == [50.0, 1400.643]
    assert ds.attrs["laser_nm"] == 488
    assert ds.attrs["doi"] == "10.2465/jmps.111020i"
    assert ds.attrs["mineral"] == "K-cymrite"
    assert ds["intensity"].attrs["units"] == "counts"
    for at in (114.1, 379.5, 832.2):
        part = ds["intensity"].sel(raman_shift=slice(at - 10, at + 10))
        assert float(part.idxmax()) == pytest.approx(at, abs=1.3)  # a channel


def test_rod_with_quotes_and_more_columns(tmp_path):
    text = "data_1\n_rod_database.code '12 3'\n_chemical_name_mineral \"Al's ore\"\nloop_\n"
    text += "_raman_spectrum.raman_shift\n_raman_spectrum.raw_intensity\n"
    text += "_raman_spectrum.intensity\n300.5(1) 7 1.5\n100 8 2.5\n200 9 3.5 # end\n"
    (ds,) = written(tmp_path, text, "a.rod").values()
    assert ds["raman_shift"].values.tolist() == [100, 200, 300.5]
    assert ds["intensity"].values.tolist() == [2.5, 3.5, 1.5]
    assert ds.attrs["mineral"] == "Al's ore"
    with pytest.raises(FormatError, match="truncated"):
        written(tmp_path, text.replace(" 3.5 # end", ""), "b.rod")


def test_rruff(tmp_path):
    text = "##NAMES=Quartz\n##RRUFFID=R040031\n##IDEAL CHEMISTRY=SiO_2_\n"
    text += "##URL=rruff.info/R040031\n127.5, 10.5\n128.0, 22.5\n464.8, 900.25\n##END=\n\n"
    (ds,) = written(tmp_path, text, "Quartz__R040031__Raman__532__0__unoriented.txt").values()
    assert ds["raman_shift"].values.tolist() == [127.5, 128, 464.8]
    assert ds.attrs["laser_nm"] == 532
    assert ds.attrs["mineral"] == "Quartz"


@pytest.mark.parametrize("comma", [False, True])
def test_ocean_optics(tmp_path, comma):
    text = "Data from QE_0__0001.txt Node\n\nDate: Mon Mar 02 10:00:00 CET 2020\n"
    text += "Spectrometer: QEP00112\nIntegration Time (sec): 2.500000E0\nScans to average: 4\n"
    text += "XAxis mode: {}\nNumber of Pixels in Spectrum: 3\n>>>>>Begin Spectral Data<<<<<\n"
    text += "500.25\t10.0\n501.5\t11.0\n502.75\t-3.5\n"
    for mode, axis in (("Wavelengths", "wavelength"), ("Raman Shifts", "raman_shift")):
        told = text.format(mode)
        (ds,) = written(tmp_path, told.replace(".", ",") if comma else told).values()
        assert ds[axis].values.tolist() == [500.25, 501.5, 502.75]
        assert ds["intensity"].values.tolist() == [10, 11, -3.5]
        assert ds.attrs["acquisition_time_s"] == 2.5
        assert ds.attrs["accumulations"] == 4


def wire(places, names="#X\t\t#Y\t\t#Wave\t\t#Intensity"):
    rows = [names]
    for number, place in enumerate(places):
        rows += ["\t".join(f"{v}" for v in (*place, 900.5 - i, number + i)) for i in range(4)]
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("comma", [False, True])
def test_wire_map(tmp_path, comma):
    places = [(x, y) for y in (1.5, -1.5) for x in (0.5, 1.5, 2.5)]
    text = wire(places)
    (ds,) = written(tmp_path, text.replace(".", ",") if comma else text).values()
    assert ds["intensity"].dims == ("y", "x", "raman_shift")
    assert ds["intensity"].sel(x=2.5, y=1.5, raman_shift=900.5) == 2
    assert ds["intensity"].sel(x=0.5, y=-1.5, raman_shift=897.5) == 6
    (gaps,) = written(tmp_path, wire(places[:5]), "b.txt").values()
    assert gaps["intensity"].dims == ("point", "raman_shift")
    assert gaps.attrs["grid_gaps"] == 1


def test_wire_series_and_single(tmp_path):
    for name, dim in (("Z", "z"), ("Time", "time")):
        text = wire([(0.0,), (2.0,), (4.0,)], f"#{name}\t\t#Wave\t\t#Intensity")
        (ds,) = written(tmp_path, text).values()
        assert ds["intensity"].dims == (dim, "raman_shift")
        assert ds[dim].values.tolist() == [0, 2, 4]
    (ds,) = written(tmp_path, wire([()], "#Wave\t\t#Intensity")).values()
    assert ds["intensity"].values.tolist() == [3, 2, 1, 0]
    with pytest.raises(FormatError, match=r"spectrum 2 .* 3 points instead of 4"):
        written(tmp_path, wire([(0, 0), (1, 0)]).rsplit("1\t0", 1)[0], "b.txt")


def test_damage_is_a_format_error(tmp_path):
    rng = np.random.default_rng(1)
    texts = {
        "raman_jcamp": jcamp("100A0JT%\n103A1Kj0", FIRSTX="100", LASTX="105", NPOINTS="6"),
        "rod_cif": "data_1\nloop_\n_raman_spectrum.raman_shift\n_raman_spectrum.intensity\n"
        + "".join(f"{i} {i * i}\n" for i in range(20)),
        "renishaw_txt": wire([(0, 0), (1, 0), (0, 1), (1, 1)]),
        "rruff_txt": "##NAMES=Q\n##RRUFFID=R1\n" + "".join(f"{i}, {i}\n" for i in range(20)),
    }
    for name, text in texts.items():
        path = tmp_path / "a.txt"
        for _ in range(100):
            damaged = bytearray(text.encode())
            for at in rng.integers(0, len(damaged), 3):
                damaged[int(at)] = rng.integers(0, 256)
            path.write_bytes(bytes(damaged[: rng.integers(1, len(damaged) + 1)]))
            contract.damage_is_an_error_in_words(registry.formats()[name], path)

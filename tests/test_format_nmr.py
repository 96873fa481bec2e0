"""NMR formats other than TopSpin's, against published values and files written here."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spectra import formats
from spectra.errors import FormatError
from spectra.techniques.nmr import TECHNIQUE
from tests.shared_data import data


def only(path):
    (ds,) = formats.read(path).values()
    return ds


def do(ds, step, **settings):
    made = TECHNIQUE.corrections[step]
    return made.function(ds, made.settings(**settings))


def maximum(ds, low=-np.inf, high=np.inf):
    x = ds["chemical_shift"].values
    inside = (x > low) & (x < high)
    return x[inside][np.argmax(ds["intensity"].values[inside])]


# --- JCAMP-DX ---------------------------------------------------------------------------------


def test_jcamp_line_agrees_between_two_files():
    broad = only(data("nmr/jcamp/17O_La2NiO4_broadband_spinecho.dx"))
    narrow = only(data("nmr/jcamp/17O_La2NiO4_Oi_selective.dx"))
    for ds, low, high in ((broad, -15416.0, 21441.0), (narrow, 10.6, 1012.2)):
        assert ds.sizes == {"chemical_shift": 16384}
        x = ds["chemical_shift"].values
        assert x[0] == pytest.approx(low, abs=0.1)
        assert x[-1] == pytest.approx(high, abs=0.1)
        assert "intensity_im" in ds
        assert ds.attrs["nucleus"] == "17O"
    assert abs(maximum(broad) - maximum(narrow)) < 2.3  # one point of the broad spectrum
    assert maximum(narrow) == pytest.approx(533.5, abs=0.5)
    for low, high, at in ((3500, 4900, 4215), (5000, 6000, 5551), (6200, 7500, 6888)):
        assert maximum(broad, low, high) == pytest.approx(at, abs=15)


JCAMP = """##TITLE= small
##JCAMP-DX= 5.0
##DATA TYPE= NMR SPECTRUM
##DATA CLASS= XYDATA
##.OBSERVE FREQUENCY= 100.0
##.OBSERVE NUCLEUS= ^7Li
##XUNITS= HZ
##YUNITS= ARBITRARY UNITS
##XFACTOR= 1
##YFACTOR= 0.5
##FIRSTX= 300
##LASTX= 0
##NPOINTS= 4
##FIRSTY= 1
##.SHIFT REFERENCE= INTERNAL, none, 1, 3.0
##XYDATA= (X++(Y..Y))
300 +2 +4 +6 +8
##END=
"""


def test_jcamp_table_of_real_numbers(tmp_path):
    path = tmp_path / "small.dx"
    path.write_text(JCAMP)
    ds = only(path)
    np.testing.assert_allclose(ds["chemical_shift"].values, [0, 1, 2, 3])
    np.testing.assert_allclose(ds["intensity"].values, [4, 3, 2, 1])
    assert ds.attrs["nucleus"] == "7Li"


def test_jcamp_compound_file_gives_every_block_with_its_own_header(tmp_path):
    path = tmp_path / "several.dx"
    second = JCAMP.replace("none, 1, 3.0", "none, 1, 103.0").replace("+2 +4 +6 +8", "+2 +4 +6 +10")
    other = "##TITLE= what it is\n##JCAMP-DX= 5.0\n##DATA TYPE= INFRARED SPECTRUM\n##END=\n"
    link = "##TITLE= all\n##JCAMP-DX= 5.0\n##DATA TYPE= LINK\n##BLOCKS= 4\n"
    path.write_text(link + JCAMP + second + other + "##END=\n")
    first, last = formats.read(path).values()
    np.testing.assert_allclose(first["intensity"].values, [4, 3, 2, 1])
    np.testing.assert_allclose(first["chemical_shift"].values, [0, 1, 2, 3])
    np.testing.assert_allclose(last["intensity"].values, [5, 3, 2, 1])
    np.testing.assert_allclose(last["chemical_shift"].values, [100, 101, 102, 103])
    path.write_text(link + JCAMP + "##END=\n")
    np.testing.assert_allclose(only(path)["intensity"].values, [4, 3, 2, 1])


def test_jcamp_of_other_techniques_is_left_alone(tmp_path):
    path = tmp_path / "raman.dx"
    path.write_text(JCAMP.replace("NMR SPECTRUM", "RAMAN SPECTRUM"))
    assert not formats.formats()["nmr_jcamp"].sniff(path.read_bytes(), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[:300], "##END"),
        (lambda t: t.replace("NPOINTS= 4", "NPOINTS= 7"), "4 points, the header says 7"),
        (lambda t: t.replace("FIRSTY= 1", "FIRSTY= 9"), "begins with"),
    ],
)
def test_damaged_jcamp_is_refused(tmp_path, change, message):
    path = tmp_path / "bad.dx"
    path.write_text(change(JCAMP))
    with pytest.raises(FormatError, match=message):
        formats.read(path, format="nmr_jcamp")


# --- JEOL -------------------------------------------------------------------------------------


def test_jeol_lines_and_filter_delay():
    raw = only(data("nmr/jeol_31P_liquid.jdf"))
    assert raw.sizes == {"acquisition_time": 32768}
    assert raw.attrs["nucleus"] == "31P"
    assert raw.attrs["scans"] == 64
    assert raw.attrs["recycle_delay_s"] == 2.0
    assert raw.attrs["field_T"] == pytest.approx(11.74, abs=0.01)
    assert raw.attrs["spectral_width_Hz"] == pytest.approx(100806.45, abs=0.01)
    # The signal jumps up where the filter's delay says it begins.
    size = np.hypot(raw["intensity"].values, raw["intensity_im"].values)
    assert int(np.argmax(size > 0.5 * size.max())) == round(raw.attrs["group_delay_points"])
    ds = do(do(raw, "apodise", lorentz_Hz=5), "fourier")
    turned = do(ds, "magnitude")
    for low, high, at in ((8, 18, 13.15), (-36, -29, -32.6), (-10, -3, -6.72)):
        assert maximum(turned, low, high) == pytest.approx(at, abs=0.05)


def test_cut_jeol_file_names_the_byte(tmp_path):
    path = tmp_path / "cut.jdf"
    path.write_bytes(data("nmr/jeol_31P_liquid.jdf").read_bytes()[:200_000])
    with pytest.raises(FormatError, match="data ends at byte 200000 of 544768"):
        formats.read(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(FormatError, match="header ends at byte 900"):
        formats.read(path)


# --- Agilent ----------------------------------------------------------------------------------


def test_agilent_whole_echo_needs_only_a_constant_phase():
    raw = only(data("nmr/agilent_139La_LaF3_whole_echo.fid"))
    assert raw.sizes == {"acquisition_time": 942}
    assert raw.attrs["nucleus"] == "139La"
    assert raw.attrs["spectral_width_Hz"] == 2.5e6
    ds = do(do(raw, "swap_echo", top=468), "fourier")
    # The tutorial turns by -152 degrees, that is, the phase found here is +152.
    z = ds["intensity"].values + 1j * ds["intensity_im"].values

    def negative(degrees):
        real = (z * np.exp(-1j * np.radians(degrees))).real
        return float(np.sum(np.minimum(real, 0) ** 2) / np.sum(np.abs(z) ** 2))

    assert negative(152) < 0.03
    assert negative(-152) > 0.2


def test_cut_agilent_file_names_the_byte(tmp_path):
    source = data("nmr/agilent_139La_LaF3_whole_echo.fid")
    folder = tmp_path / "cut.fid"
    folder.mkdir()
    (folder / "procpar").write_bytes((source / "procpar").read_bytes())
    (folder / "fid").write_bytes((source / "fid").read_bytes()[:3000])
    with pytest.raises(FormatError, match="ends at byte 3000 of 7596"):
        formats.read(folder)


# --- SIMPSON, dmfit ---------------------------------------------------------------------------


def test_dmfit_archive_equals_its_block_and_keeps_its_model():
    archive = only(data("nmr/dmfit/31P_phosphate_MAS_6kHz.fxmla"))
    block = only(data("nmr/dmfit/31P_phosphate_MAS_6kHz.spe"))
    assert archive.sizes == {"chemical_shift": 2048}
    np.testing.assert_array_equal(archive["intensity"].values, block["intensity"].values)
    np.testing.assert_array_equal(archive["chemical_shift"].values, block["chemical_shift"].values)
    for low, high, at in ((70, 90, 81.7), (35, 55, 44.8), (0, 15, 7.5), (-38, -20, -29.5)):
        assert maximum(archive, low, high) == pytest.approx(at, abs=0.4)
    model = json.loads(archive.attrs["dmfit_model"])
    assert model["lines"][0]["pos"] == pytest.approx(7.580329517)
    assert model["spinning_Hz"] == pytest.approx(6011.860946)


def test_simpson_signal_has_sidebands_at_the_spinning_rate():
    raw = only(data("nmr/simpson_29Si_CSA_sidebands_simulated.fid"))
    assert raw.sizes == {"acquisition_time": 200}
    size = np.abs(np.fft.fft(raw["intensity"].values + 1j * raw["intensity_im"].values))
    strong = np.flatnonzero(size > 0.05 * size.max())
    # 200 points of 10 kHz: one channel is 50 Hz, the spinning rate.
    assert np.all(np.diff(strong[strong < 15]) == 1)


def test_simpson_spectrum_without_a_frequency_stays_in_hertz(tmp_path):
    path = tmp_path / "a.spe"
    path.write_text("SIMP\nNP=4\nSW=400\nTYPE=SPE\nDATA\n1 0\n2 0\n3 0\n4 1\nEND\n")
    ds = only(path)
    np.testing.assert_allclose(ds["frequency"].values, [-200, -100, 0, 100])
    path.write_text("SIMP\nNP=4\nSW=400\nTYPE=SPE\nDATA\n1 0\n2 0\n3 0\n")
    with pytest.raises(FormatError, match="6 numbers in DATA, 8 expected"):
        formats.read(path)


# --- ssNake, CSDM -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "points", "low", "high", "frequency"),
    [
        ("glycine_13C_static", 4112, 81.3, 305.6, 75.471),
        ("glycine_13C_1kHzMAS", 65536, 74.4, 330.8, 75.471),
        ("RbNO3_87Rb_300MHz", 16384, -203.6, 152.7, 98.209),
        ("RbNO3_87Rb_850MHz", 16384, -106.2, 37.7, 278.029),
    ],
)
def test_ssnake_axes(name, points, low, high, frequency):
    ds = only(data(f"nmr/ssnake_mat/{name}.mat"))
    x = ds["chemical_shift"].values
    assert x.size == points
    assert x[0] == pytest.approx(low, abs=0.05)
    assert x[-1] == pytest.approx(high, abs=0.05)
    assert ds.attrs["reference_MHz"] == pytest.approx(frequency, abs=1e-3)
    if name == "glycine_13C_1kHzMAS":
        assert maximum(ds) == pytest.approx(176.54, abs=0.01)


def test_ssnake_signals_and_cut_files(tmp_path):
    import scipy.io

    fields = {
        "data": np.exp(1j * np.arange(16.0))[None], "spec": np.array([0]),
        "ref": np.array([np.nan]), "freq": np.array([1e8]), "sw": np.array([1e4]),
        "hyper": np.array([0]),
        "wholeEcho": np.array([0]), "xaxArray": np.arange(16.0)[None] / 1e4, "dim": 1,
    }  # fmt: skip
    path = tmp_path / "signal.mat"
    scipy.io.savemat(path, {"a": fields})
    ds = only(path)
    assert ds.sizes == {"acquisition_time": 16}
    assert ds.attrs["carrier_MHz"] == 100.0
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(FormatError, match="truncated"):
        formats.read(path, format="ssnake_mat")


def as_json(path, fields, **changes):
    """Write ssNake's fields as its own JSON export does."""
    values = np.asarray(fields["data"])
    told = {
        "dataReal": values.real.tolist(), "dataImag": values.imag.tolist(),
        "hyper": [0], "freq": [1e8], "sw": [1e4], "spec": [0.0], "wholeEcho": [0.0],
        "ref": [float("nan")], "history": ["loaded"], "metaData": {},
        "xaxArray": [(np.arange(values.shape[-1]) / 1e4).tolist()], **changes,
    }  # fmt: skip
    path.write_text(json.dumps({k: v for k, v in told.items() if v is not None}))
    return path


@pytest.mark.parametrize("name", ["glycine_13C_static", "RbNO3_87Rb_300MHz"])
def test_ssnake_json_is_its_matlab_file(tmp_path, name):
    import scipy.io

    source = data(f"nmr/ssnake_mat/{name}.mat")
    loaded = next(v for k, v in scipy.io.loadmat(source).items() if not k.startswith("__"))[0, 0]
    names = loaded.dtype.names
    told = {n: np.asarray(loaded[n]).ravel().astype(float).tolist() for n in
            ("freq", "sw", "spec", "wholeEcho", "ref") if n in names}  # fmt: skip
    axis = np.asarray(loaded["xaxArray"])
    axis = axis.ravel()[-1] if axis.dtype == object else axis
    values = np.asarray(loaded["data"])
    values = values.ravel()[0] if values.dtype == object else values
    values = np.asarray(values).reshape(1, -1)  # components x points
    path = as_json(tmp_path / "a.json", {"data": values}, **told, xaxArray=[axis.ravel().tolist()])
    ours, theirs = only(path), only(source)
    np.testing.assert_array_equal(ours["intensity"], theirs["intensity"])
    np.testing.assert_array_equal(ours["chemical_shift"], theirs["chemical_shift"])
    assert ours.attrs["reference_MHz"] == theirs.attrs["reference_MHz"]


def test_ssnake_json_signals_rows_and_mistakes(tmp_path):
    rng = np.random.default_rng(1)
    row = rng.normal(size=16) + 1j * rng.normal(size=16)
    ds = only(as_json(tmp_path / "a.json", {"data": row[None]}))
    assert ds.sizes == {"acquisition_time": 16}
    assert ds.attrs["carrier_MHz"] == 100.0
    np.testing.assert_array_equal(ds["intensity"] + 1j * ds["intensity_im"], row)
    old = only(as_json(tmp_path / "old.json", {"data": row}, hyper=None))  # before hypercomplex
    np.testing.assert_array_equal(old["intensity"], ds["intensity"])
    two = rng.normal(size=(1, 3, 16)) + 0j
    axes = [[0.0, 1e-3, 2e-3], (np.arange(16) / 1e4).tolist()]
    twice = {"freq": [1e8, 1e8], "sw": [1e3, 1e4], "spec": [0, 0], "ref": [None, None],
             "wholeEcho": [0, 0]}  # fmt: skip
    many = only(as_json(tmp_path / "two.json", {"data": two}, **twice, xaxArray=axes))
    assert many.sizes == {"scan": 3, "acquisition_time": 16}
    np.testing.assert_array_equal(many["intensity"], two[0].real)
    for changes, says in (
        ({"xaxArray": [[0.0, 1e-4]]}, "2 axis values for 16 points"),
        ({"dataImag": [[0.0]]}, "dataImag of"),
        ({"sw": ["wide"]}, "sw is no regular array"),
        ({"xaxArray": 3}, "xaxArray is no list"),
        ({"ref": None}, "no ref in it"),
        ({"freq": [0.0]}, "neither ref nor freq"),
    ):
        path = as_json(tmp_path / "bad.json", {"data": row[None]}, **changes)
        with pytest.raises(FormatError, match=says):
            formats.read(path)
    whole = (tmp_path / "a.json").read_bytes()
    (tmp_path / "cut.json").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="not whole JSON"):
        formats.read(tmp_path / "cut.json")


def test_csdm_spectrum_and_refusals(tmp_path):
    source = data("nmr/csdm_17O_MAS_Na2SiO3.csdf")
    ds = only(source)
    x = ds["chemical_shift"].values
    assert x.size == 4096
    assert x[0] == pytest.approx(-161.9, abs=0.05)
    assert x[-1] == pytest.approx(206.8, abs=0.05)
    assert ds.attrs["reference_MHz"] == pytest.approx(54.23708)
    path = tmp_path / "cut.csdf"
    path.write_bytes(source.read_bytes()[:3000])
    with pytest.raises(FormatError, match="not complete JSON"):
        formats.read(path)
    model = json.loads(source.read_text())
    model["csdm"]["dependent_variables"][0]["components_url"] = "file:../../secret"
    path.write_text(json.dumps(model))
    with pytest.raises(FormatError, match="only a file in the same folder"):
        formats.read(path)


def test_csdm_data_beside_it_are_read_and_none_from_elsewhere(tmp_path):
    folder = tmp_path / "inside"
    folder.mkdir()
    values = np.arange(16, dtype="<f4")
    for place in (tmp_path, folder):
        (place / "a.dat").write_bytes(values.tobytes())
    (folder / "link.dat").symlink_to(tmp_path / "a.dat")
    dimension = {"type": "linear", "count": 16, "increment": "10 Hz", "coordinates_offset": "0 Hz",
                 "origin_offset": "100 MHz"}  # fmt: skip
    variable = {"type": "external", "quantity_type": "scalar", "numeric_type": "float32",
                "components_url": "file:./a.dat"}  # fmt: skip
    model = {"version": "1.0", "dimensions": [dimension], "dependent_variables": [variable]}
    path = folder / "a.csdfe"
    path.write_text(json.dumps({"csdm": model}))
    np.testing.assert_array_equal(only(path)["intensity"].values, values)
    # The same name one folder up, and other ways there, although it exists here as well.
    for url in ("file:../a.dat", "../a.dat", "/a.dat", "file:///a.dat", "..%2Fa.dat", "link.dat",
                "file:.././a.dat", "http://localhost/a.dat"):  # fmt: skip
        variable["components_url"] = url
        path.write_text(json.dumps({"csdm": model}))
        with pytest.raises(FormatError, match="only a file in the same folder"):
            formats.read(path)


# --- NMRPipe, Tecmag: files written here -------------------------------------------------------


def test_nmrpipe_spectrum_signal_and_cut_file(tmp_path):
    from nmrglue.fileio import fileiobase, pipe

    udic = fileiobase.create_blank_udic(1)
    udic[0].update(size=64, sw=6400.0, obs=100.0, car=500.0, label="31P", complex=False, time=False,
                   freq=True)  # fmt: skip
    values = np.arange(64, dtype="float32")
    path = tmp_path / "a.ft"
    pipe.write(str(path), pipe.create_dic(udic), values)
    ds = only(path)
    assert ds.sizes == {"chemical_shift": 64}
    x = ds["chemical_shift"].values
    assert x[1] - x[0] == pytest.approx(1.0)
    assert x.mean() == pytest.approx(5.0, abs=0.6)  # 500 Hz at 100 MHz
    np.testing.assert_array_equal(ds["intensity"].values, values[::-1])
    assert ds.attrs["nucleus"] == "31P"
    udic[0].update(complex=True, time=True, freq=False)
    pipe.write(str(path), pipe.create_dic(udic), (values + 1j).astype("complex64"), overwrite=True)
    assert only(path).sizes == {"acquisition_time": 64}
    path.write_bytes(path.read_bytes()[:2200])
    with pytest.raises(FormatError, match=r"ends at byte 2200 of 2560"):
        formats.read(path)


def test_tecmag_signals_and_cut_file(tmp_path):
    from nmrglue.fileio import tecmag

    head = np.zeros(1, tecmag.TNTTMAG)
    head["actual_npts"][0] = [16, 3, 1, 1]
    head["sw"][0] = [5e4, 1, 1, 1]
    head["ob_freq"][0] = [116.6, 0, 0, 0]
    head["nuclei"][0, 0] = b"Li7"
    rows = (np.arange(48) + 1j).astype("<c8").reshape(3, 16)
    parts = [b"TNT1.005"]
    for tag, body in (
        (b"TMAG", head.tobytes()),
        (b"DATA", rows.tobytes()),
        (b"TMG2", np.zeros(1, tecmag.TNTTMG2).tobytes()),
    ):
        parts.append(tag + np.array([1, len(body)], "<u4").tobytes() + body)
    path = tmp_path / "a.tnt"
    path.write_bytes(b"".join(parts))
    ds = only(path)
    assert ds.sizes == {"scan": 3, "acquisition_time": 16}
    np.testing.assert_array_equal(ds["intensity"].values, rows.real)
    assert ds.attrs["nucleus"] == "7Li"
    assert ds["acquisition_time"].values[1] == pytest.approx(2e-5)
    path.write_bytes(path.read_bytes()[:1200])
    with pytest.raises(FormatError, match="not readable up to byte 1200"):
        formats.read(path)

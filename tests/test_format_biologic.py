"""EC-Lab's binary files against the text that EC-Lab wrote from them."""

from __future__ import annotations

import numpy as np
import pytest

from spectra.errors import FormatError
from spectra.formats._biologic_modules import read_modules
from spectra.formats.registry import read
from tests.shared_data import data

PAIRS = "echem/biologic_mpr_mpt_pairs"


@pytest.mark.parametrize(
    ("name", "technique", "rows"),
    [
        ("ocv.issue_149", "cycling", 43),
        ("gcpl.issue_149", "cycling", 132),
        ("gcpl.pr_182.1", "cycling", 2533),
        ("ca.issue_149", "cycling", 80),
        ("cp.issue_61", "cycling", 312),
        ("cv.issue_149", "voltammetry", 5930),
        ("mb.issue_95", "cycling", 33),
        ("peis.issue_149", "impedance", 84),
        ("geis.issue_149", "impedance", 84),
    ],
)
def test_binary_and_text_agree(name, technique, rows):
    binary = read(data(f"{PAIRS}/{name}.mpr"))["cell"]
    text = read(data(f"{PAIRS}/{name}.mpt"))["cell"]
    for ds in (binary, text):
        assert ds.attrs["technique"] == technique
        assert next(iter(ds.sizes.values())) == rows
    if technique != "impedance":
        np.testing.assert_allclose(binary.time, text.time, rtol=1e-6, atol=1e-9)
    else:
        assert int(binary.spectrum.max()) == 3
    shared = (set(binary.data_vars) & set(text.data_vars)) - {"current"}
    assert "voltage" in shared
    for key in shared:
        np.testing.assert_allclose(binary[key], text[key], rtol=2e-6, atol=1e-6, err_msg=key)
    if binary.attrs.get("start") and text.attrs.get("start"):
        assert binary.attrs["start"][:19] == text.attrs["start"][:19]


def test_mean_current_from_charge_is_the_exported_one():
    binary = read(data(f"{PAIRS}/gcpl.issue_149.mpr"))["cell"].current
    text = read(data(f"{PAIRS}/gcpl.issue_149.mpt"))["cell"].current
    assert np.nanmax(np.abs(text)) == pytest.approx(0.03, rel=0.02)
    both = np.isfinite(binary.values)
    assert np.nanmedian(np.abs(binary.values - text.values)[both]) < 1e-4


def test_operando_impedance_has_45_spectra_and_charge_is_right():
    folder = "echem/operando_LiLi_TEGDME"
    eis = read(data(f"{folder}/LiLi_TEGDME_02_GEIS_C05.mpr"))["cell"]
    assert int(eis.spectrum.max()) + 1 == 45
    assert (eis.impedance_re > 0).all()
    cell = read(data(f"{folder}/LiLi_TEGDME_01_GCPL_C05.mpr"))["cell"]
    assert float(cell.capacity.max()) == pytest.approx(0.4 * 600 / 3600, rel=2e-3)


def test_decimal_comma_and_locale_read_alike():
    english = read(data(f"{PAIRS}/mb.issue_95.mpt"))["cell"]
    german = read(data(f"{PAIRS}/mb.issue_95.de.mpt"))["cell"]
    for key in english.data_vars:
        np.testing.assert_allclose(english[key], german[key])


def test_truncated_files_are_one_line(tmp_path):
    for suffix in ("mpr", "mpt"):
        raw = data(f"{PAIRS}/gcpl.issue_149.{suffix}").read_bytes()
        cut = tmp_path / f"cut.{suffix}"
        cut.write_bytes(raw[:700])
        with pytest.raises(FormatError) as error:
            read(cut)
        assert "\n" not in str(error.value)
        assert "cut." in str(error.value)


@pytest.mark.parametrize(
    "name", ["gcpl.issue_149", "cp.issue_61", "peis.issue_149", "ocv.issue_149"]
)
def test_columns_are_those_of_an_independent_reader(name):
    galvani = pytest.importorskip("galvani")
    path = data(f"{PAIRS}/{name}.mpr")
    ours = read_modules(path.read_bytes(), path)
    with path.open("rb") as stream:
        theirs = galvani.BioLogic.MPRfile(stream)
    for column in theirs.data.dtype.names:
        key = column.replace("µ", "u")
        np.testing.assert_array_equal(ours.columns[key], theirs.data[column].astype(float))
    assert ours.start == theirs.timestamp.isoformat(timespec="milliseconds").removesuffix(".000")


def test_an_unknown_column_is_skipped_by_its_width():
    path = data(f"{PAIRS}/gcpl.issue_149.mpr")
    raw = bytearray(path.read_bytes())
    known = read_modules(bytes(raw), path).columns
    at = raw.index(b"VMP data") + 59  # the data module's content, as EC-Lab 11.50 writes it
    numbers = np.frombuffer(raw, ">u2", raw[at + 4], at + 5).copy()
    changed = int(np.flatnonzero(numbers == 13)[0])  # (Q-Qo)/mA.h
    raw[at + 5 + 2 * changed : at + 7 + 2 * changed] = (999).to_bytes(2, "big")
    found = read_modules(bytes(raw), path)
    assert found.skipped == (999,)
    assert set(known) - set(found.columns) == {"(Q-Qo)/mA.h"}
    for key, values in found.columns.items():
        np.testing.assert_array_equal(values, known[key])


def test_bytes_of_any_kind_are_one_line_or_data(tmp_path):
    path = data(f"{PAIRS}/gcpl.issue_149.mpr")
    raw, rng = path.read_bytes(), np.random.default_rng(3)
    hurt = tmp_path / "hurt.mpr"
    said = []
    for _ in range(60):
        damaged = bytearray(raw[: int(rng.integers(60, len(raw) + 1))])
        for at in rng.integers(52, len(damaged), 4):
            damaged[int(at)] = int(rng.integers(0, 256))
        hurt.write_bytes(damaged)
        try:
            read(hurt)
        except FormatError as error:
            said.append(str(error))
    assert said
    assert all("hurt.mpr" in text and "\n" not in text for text in said)


def test_voltammetry_is_known_by_the_technique():
    for suffix in ("mpr", "mpt"):
        ds = read(data(f"{PAIRS}/cv.issue_149.{suffix}"))["cell"]
        assert ds.attrs["technique"] == "voltammetry"
        assert int(ds.cycle.max()) == 3
    for name in ("ca", "gcpl", "ocv", "peis", "geis", "cv"):
        ds = read(data(f"{PAIRS}/{name}.issue_149.mpr"))["cell"]
        assert ds.attrs["experiment"] == name.upper()


def test_a_bare_table_learns_from_the_files_beside_it():
    folder = "echem/operando_LiLi_TEGDME"
    ds = read(data(f"{folder}/LiLi_TEGDME_03_GCPL_C05.txt"))["cell"]
    assert ds.sizes["time"] == 76807
    assert float(ds.time[0]) == pytest.approx(907.6, abs=0.05)
    assert float(ds.time[-1]) == pytest.approx(163243, abs=1)
    # settings: 45 passes of one hour at 0.400 mA; loops split where the instrument says
    assert int(ds.loop.max()) + 1 == 45
    assert set(ds.current.values) == {0.4}
    hours = [float(np.ptp(ds.time.values[ds.loop.values == k])) / 3600 for k in range(44)]
    np.testing.assert_allclose(hours, 1.0, atol=0.01)
    assert ds.attrs["start"] == "2023-08-11T12:40:15"
    assert "LiLi_TEGDME.mps" in ds.attrs["current_origin"]
    alone = read(data(f"{folder}/LiLi_TEGDME_03_GCPL_C05_LOOP.txt"))["loops"]
    assert alone.first_row.values[:3].tolist() == [0, 709, 1104]


def test_without_its_neighbours_a_bare_table_says_less(tmp_path):
    raw = data("echem/operando_LiLi_TEGDME/LiLi_TEGDME_03_GCPL_C05.txt").read_bytes()
    alone = tmp_path / "LiLi_TEGDME_03_GCPL_C05.txt"
    alone.write_bytes(raw[:20000].rsplit(b"\r\n", 1)[0])
    ds = read(alone)["cell"]
    assert set(ds.data_vars) == {"voltage"}
    assert "start" not in ds.attrs


def test_settings_are_a_schedule_and_say_that_they_are_no_data():
    ds = read(data("echem/operando_LiLi_TEGDME/LiLi_TEGDME.mps"))["settings"]
    assert "not data" in ds.attrs["note"]
    third = ds.isel(point=ds.technique_number.values == 3)
    assert third.current.values.tolist() == [0.0, 0.4]
    assert third.duration.values.tolist() == [0.0, 3600.0]
    assert ds.attrs["repeats"] == 44


def test_time_exported_as_dates(tmp_path):
    path = tmp_path / "a.mpt"
    path.write_text(
        "BT-Lab ASCII FILE\nNb header lines : 6\n\nModulo Bat\n"
        "Acquisition started on : 11/20/2024 11:38:41.707\n"
        "Ns\ttime/s\tEcell/V\tI/mA\t(Q-Qo)/mA.h\tQ discharge/mA.h\tQ charge/mA.h\t\n"
        "0\t11/20/2024 11:38:41.707\t4.1\t0\t0\t0\t0\n"
        "1\t11/20/2024 11:38:48.171\t4.2\t4.4E+002\t1\t0\t1\n"
    )
    ds = read(path)["cell"]
    np.testing.assert_allclose(ds.time, [0, 6.464])
    assert ds.attrs["start"] == "2024-11-20T11:38:41.707000"
    np.testing.assert_allclose(ds.charge_capacity, [0, 1])


def test_a_table_without_header_lines(tmp_path):
    path = tmp_path / "a.mpt"
    path.write_text(
        "mode\tNs\ttime/s\tEcell/V\tI/mA\t\n3\t0\t2,8E+005\t2,93\t0,5\n3\t0\t2,9E+005\t2,94\t0,5\n"
    )
    ds = read(path)["cell"]
    np.testing.assert_allclose(ds.time, [2.8e5, 2.9e5])
    np.testing.assert_allclose(ds.current, 0.5)


def test_spectra_among_records_in_time_are_a_region_of_their_own(tmp_path):
    head = "freq/Hz\tRe(Z)/Ohm\t-Im(Z)/Ohm\ttime/s\tEwe/V\tI/mA\t\n"
    still = "".join(f"0\t0\t0\t{k}\t3.{k}\t1\n" for k in range(5))
    swept = "1000\t10\t2\t5\t3.5\t0\n100\t11\t3\t6\t3.5\t0\n"
    path = tmp_path / "a.txt"
    path.write_text(head + still + swept)
    found = read(path)
    assert list(found) == ["cell", "impedance"]
    np.testing.assert_allclose(found["cell"].time, range(5))
    assert "frequency" not in found["cell"]
    np.testing.assert_allclose(found["impedance"].impedance_im, [-2, -3])
    path.write_text(head + still[:14] + swept)
    only = read(path)["cell"]
    assert only.attrs["technique"] == "impedance"
    assert only.attrs["dc_rows"] == 1
    assert only.sizes["point"] == 2


def made(start, *, newer, ids, records, date=b"10/26/20", days=44130.5, at=465):
    """Bytes of a file in one of the layouts of EC-Lab, with one data module."""
    if start == 100:
        numbers = bytes(ids)
    else:
        numbers = b"".join(n.to_bytes(2, "big" if start == 1007 else "little") for n in ids)
    data = len(records).to_bytes(4, "little") + bytes([len(ids)]) + numbers
    data = data.ljust(start, b"\0") + records.tobytes()
    log = bytearray(600)
    log[at : at + 8] = np.float64(days).tobytes()
    whole = b"BIO-LOGIC MODULAR FILE\x1a".ljust(48) + bytes(4)
    for name, content in ((b"VMP Set", b"\x04" + bytes(50)), (b"VMP data", data),
                          (b"VMP LOG", bytes(log))):  # fmt: skip
        head = b"MODULE" + name.ljust(10) + b"long".ljust(25)
        size = len(content).to_bytes(4, "little")
        if newer:
            whole += head + b"\xff" * 4 + size + bytes(8) + date + content
        else:
            whole += head + size + bytes(4) + date + content
    return whole


@pytest.mark.parametrize(
    ("start", "newer", "at"),
    [(100, False, 465), (405, False, 469), (406, False, 473), (405, True, 585), (1007, True, 465)],
)
def test_every_layout_of_the_data_module(tmp_path, start, newer, at):
    kind = np.dtype([("flags", "u1"), ("time", "<f8"), ("E", "<f4"), ("dq", "<f8"), ("Ns", "<u2")])
    records = np.zeros(5, kind)
    records["time"] = np.arange(5) * 10.0
    records["E"] = 3.5
    records["dq"] = 1.0 / 360.0  # mAh in 10 s: 1 mA
    path = tmp_path / "a.mpr"
    path.write_bytes(made(start, newer=newer, ids=[1, 2, 3, 4, 6, 7, 131], records=records, at=at))
    ds = read(path)["cell"]
    np.testing.assert_allclose(ds.time, records["time"])
    np.testing.assert_allclose(ds.voltage, 3.5)
    np.testing.assert_allclose(ds.current[1:], 1.0)
    assert ds.attrs["start"] == "2020-10-26T12:00:00"


def test_the_clock_is_the_one_of_the_modules_day(tmp_path):
    kind = np.dtype([("time", "<f8"), ("E", "<f4")])
    raw = bytearray(made(405, newer=False, ids=[4, 6], records=np.zeros(3, kind), at=585))
    log = raw.rindex(b"VMP LOG") - 6 + 57
    raw[log + 465 : log + 473] = np.float64(43000.25).tobytes()  # a number that looks like a day
    path = tmp_path / "a.mpr"
    path.write_bytes(bytes(raw))
    assert read(path)["cell"].attrs["start"] == "2020-10-26T12:00:00"
    for date in (b"26/10/20", b"10.26.20", b"10-26-20"):  # as the computer's locale writes it
        path.write_bytes(bytes(raw).replace(b"10/26/20", date))
        assert read(path)["cell"].attrs["start"] == "2020-10-26T12:00:00"

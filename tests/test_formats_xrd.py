"""Powder diffraction files of other vendors, written here byte by byte as their makers say."""

from __future__ import annotations

import struct
import zipfile

import numpy as np
import pytest

from spectra import formats
from spectra.errors import FormatError
from spectra.formats.registry import formats as all_formats
from tests.contracts import format_contract as contract

X = 10.0 + 0.02 * np.arange(60)
Y = (200 + 50 * np.sin(X * 3)).round().astype(int)


def opened(path, technique=None):
    regions = formats.read(path, technique=technique)
    return regions, next(iter(regions.values()))


def text(path, content, encoding="latin-1"):
    path.write_bytes(content.encode(encoding))
    return path


def as_written(ds, wavelength=1.5406):
    np.testing.assert_allclose(ds["two_theta"].values, X, atol=1e-5)
    np.testing.assert_array_equal(ds["intensity"].values, Y)
    assert ds["intensity"].attrs["units"] == "counts"
    if wavelength is not None:
        assert ds.attrs["wavelength_A"] == pytest.approx(wavelength, abs=1e-6)


def raw1(path, ranges=2, repeat=True):
    parts = []
    for k in range(ranges):
        head = bytearray(156)
        head[:4] = b"RAW "
        struct.pack_into("<Iff", head, 4, X.size, 1.0, 0.02)
        struct.pack_into("<f", head, 24, 10.0)
        struct.pack_into("<ff", head, 72, 1.5406, 1.54439)
        struct.pack_into("<I", head, 152, ranges - 1 - k)
        parts.append(bytes(head if k == 0 or repeat else head[4:]) + Y.astype("<f4").tobytes())
    path.write_bytes(b"".join(parts))
    return path


def raw2(path):
    head = bytearray(256)
    head[:4] = b"RAW2"
    struct.pack_into("<H", head, 4, 1)
    struct.pack_into("<fff", head, 190, 1.5406, 1.54439, 0.5)
    own = bytearray(48 + 20)
    struct.pack_into("<HH", own, 0, len(own), X.size)
    struct.pack_into("<fff", own, 8, 2.0, 0.02, 10.0)
    path.write_bytes(bytes(head + own) + Y.astype("<f4").tobytes())
    return path


def raw3(path, ranges=1):
    head = bytearray(712)
    head[:7] = b"RAW1.01"
    struct.pack_into("<I", head, 12, ranges)
    struct.pack_into("<ddddd", head, 616, 1.5418, 1.5406, 1.54439, 1.39222, 0.48)
    body = b""
    for _ in range(ranges):
        own = bytearray(304)
        struct.pack_into("<II", own, 0, 304, X.size)
        struct.pack_into("<dd", own, 8, 5.0, 10.0)
        struct.pack_into("<d", own, 176, 0.02)
        struct.pack_into("<f", own, 192, 1.5)
        struct.pack_into("<I", own, 256, 40)
        body += bytes(own) + b"\0" * 40 + Y.astype("<f4").tobytes()
    path.write_bytes(bytes(head) + body)
    return path


def stoe(path):
    head = bytearray(1024)
    head[:14] = b"RAW_1.06Powdat"
    struct.pack_into("<ff", head, 322, 1.54056, 1.54439)
    struct.pack_into("<HH", head, 474, 1, 4)
    own = bytearray(512)
    own[:15] = b"05-Mar-21 10:20"
    struct.pack_into("<H", own, 34, X.size)
    struct.pack_into("<6f", own, 44, 10.0, 5.0, X[-1], X[-1] / 2, 0.02, 0.01)
    struct.pack_into("<II", own, 120, Y.min(), Y.max())
    path.write_bytes(bytes(head + own) + Y.astype("<u4").tobytes().ljust(512, b"\0"))
    return path


def rigaku(path, kind="smartlab", scans=1):
    """Write the three layouts that open readers describe."""
    waves, axis, data = {
        "smartlab": (1212, 2962, 3138), "rint": (1212, 3010, 3218), "other": (984, 2300, 2900),
    }[kind]  # fmt: skip
    whole = b""
    for number in range(scans):
        head = bytearray(data + 20)
        if not number:
            head[:4] = b"FI\0\0"
            struct.pack_into("<dd", head, waves, 1.5406, 1.54439)
        head[2136:2140] = b"PI\0\0"
        struct.pack_into(
            "<ii", head, 2166, 1_614_939_600 + 600 * number, 1_614_940_100 + 600 * number
        )
        struct.pack_into("<4f", head, axis - 4, 1.5, X[0], X[-1], 0.02)
        head[data : data + 4] = b"DA\0\0"
        struct.pack_into("<I", head, data + 8, 4 * Y.size + 8)
        struct.pack_into("<I", head, data + 16, Y.size)
        whole += bytes(head) + Y.astype("<f4").tobytes()
    path.write_bytes(whole)
    return path


def philips(path, version=b"V3", continuous=0):
    head = bytearray(250 if version == b"V3" else 810)
    head[:4] = version + b"RD"
    struct.pack_into("<d", head, 94, 1.5406)
    head[126] = continuous
    half = 0.01 if continuous else 0.0
    struct.pack_into("<ddd", head, 214, 0.02, X[0] - half, X[-1] + half)
    path.write_bytes(bytes(head) + np.round(10 * np.sqrt(Y)).astype("<u2").tobytes())
    return path


def ras(path, factor=None, scans=1, unit="counts", axis="TwoThetaTheta"):
    factor = np.ones(X.size) if factor is None else factor
    out = "*RAS_DATA_START\r\n"
    for k in range(scans):
        out += (
            '*RAS_HEADER_START\r\n*HW_XG_WAVE_LENGTH_ALPHA1 "1.540593"\r\n'
            f'*HW_XG_WAVE_LENGTH_ALPHA2 "1.544414"\r\n*MEAS_SCAN_AXIS_X_INTERNAL "{axis}"\r\n'
            f'*MEAS_SCAN_START_TIME "06/11/26 13:{10 + k}:11"\r\n*MEAS_SCAN_UNIT_Y "{unit}"\r\n'
            f'*MEAS_DATA_COUNT "{X.size}"\r\n*RAS_HEADER_END\r\n*RAS_INT_START\r\n'
        )
        out += "".join(f"{a:.4f} {b:.4f} {c:.4f}\r\n" for a, b, c in zip(X, Y, factor, strict=True))
        out += "*RAS_INT_END\r\n"
    return text(path, out + "*RAS_DATA_END\r\n")


def rigaku_type(path):
    rows = "".join(" " + ", ".join(map(str, Y[i : i + 4])) + "\n" for i in range(0, Y.size, 4))
    return text(
        path,
        "*TYPE           =  Raw\n*GROUP_COUNT    =  1\n*WAVE_LENGTH1   =  1.54060\n*BEGIN\n"
        f"*START          =  10.0000\n*STOP           =  {X[-1]:.4f}\n*STEP           =  0.0200\n"
        f"*YUNIT          =  counts\n*COUNT          =  {Y.size}\n{rows}*END\n*EOF\n",
    )


def uxd(path, kind="_2THETACOUNTS", ranges=1):
    out = "; converted by XCH V1.0\n_FILEVERSION=2\n_SAMPLE='BT86'\n_WL1=1.540600\n_WL2=1.544390\n"
    for _ in range(ranges):
        out += "; (Data for Range number 1)\n_STEPTIME=0.5\n_STEPSIZE=0.020000\n_START=10.000000\n"
        out += kind + "\n"
        if kind.startswith("_2"):
            out += "".join(f"{a:.4g}\t{b}\n" for a, b in zip(X, Y, strict=True))
        else:
            out += "".join(f" {b}\n" for b in Y)
    return text(path, out)


def udf(path):
    rows = "\n".join(",".join(f"{v:8d}" for v in Y[i : i + 8]) for i in range(0, Y.size, 8))
    return text(
        path,
        "SampleIdent,Sample5 ,/\nTitle1,Dat2rit program ,/\nLabdaAlpha1,   1.54060,/\n"
        f"DataAngleRange,  10.0000, {X[-1]:.4f},/\nScanStepSize,    0.020,/\nRawScan\n{rows}/\n",
    )


def xpert_csv(path, mark=",", point="."):
    rows = "".join(f"{a:.4f}{mark}{b}\n".replace(".", point) for a, b in zip(X, Y, strict=True))
    head = f"[Measurement conditions]\nSample identification{mark}A\n"
    head += f"K-Alpha1 wavelength{mark}1{point}5406\n[Scan points]\nAngle{mark}Intensity\n"
    return text(path, head + rows)


def cpi(path):
    head = (
        f"SIETRONICS XRD SCAN\n10.00\n{X[-1]:.3f}\n0.020\nCu\n1.5406\n1-1-1900\n0.6\nHH\nSCANDATA\n"
    )
    return text(path, head + "".join(f"{v}\n" for v in Y))


def mdi(path):
    rows = "".join("".join(f"{v:8d}" for v in Y[i : i + 8]) + "\n" for i in range(0, Y.size, 8))
    return text(
        path, f"08/11/04 sample\n   10.00   0.02 1.0 CU 1.5406 {X[-1]:.2f} {Y.size}\n{rows}"
    )


def riet7(path):
    rows = "".join("".join(f"{v:8d}" for v in Y[i : i + 10]) + "\n" for i in range(0, Y.size, 10))
    return text(path, f"A title\n  10.0000    0.0200  {X[-1]:.4f}\n{rows}")


def gsas(path, kind="STD", number=1):
    title = "A title".ljust(80) + "\n"
    rows = ""
    if kind == "STD":
        head = f"BANK 1 {Y.size} {-(-Y.size // 10)} CONST 1000.0 2.0 0 0 STD\n"
        for i in range(0, Y.size, 10):
            rows += "".join(f"{number:2d}{v:6d}" for v in Y[i : i + 10]).ljust(80) + "\n"
    elif kind == "ESD":
        head = f"BANK 1 {Y.size} {-(-Y.size // 5)} CONS 1000.0 2.0 0 0 ESD\n"
        for i in range(0, Y.size, 5):
            rows += "".join(f"{v:8.1f}{v**0.5:8.3f}" for v in Y[i : i + 5]).ljust(80) + "\n"
    else:
        head = f"BANK 1 {Y.size} {Y.size} CONS 1000.0 2.0 0 0 FXYE\n"
        rows = "".join(f"{100 * a:.5f} {b:.3f} {b**0.5:.4f}\n" for a, b in zip(X, Y, strict=True))
    return text(path, title + head + rows)


XRDML = """<?xml version="1.0"?>
<xrdMeasurements xmlns="http://www.xrdml.com/XRDMeasurement/{version}"><xrdMeasurement>
<usedWavelength intended="K-Alpha"><kAlpha1 unit="Angstrom">1.5406</kAlpha1></usedWavelength>
{scans}</xrdMeasurement></xrdMeasurements>"""


def xrdml_scan(values, tag="counts", factors="", minute=0, moving=True):
    place = f"<startPosition>{X[0]}</startPosition><endPosition>{X[-1]}</endPosition>"
    if not moving:
        place = "<commonPosition>30.0</commonPosition>"
    return (
        f'<scan scanAxis="{"Gonio" if moving else "Omega"}"><header><startTimeStamp>'
        f"2022-09-29T16:{10 + minute}:11-04:00</startTimeStamp></header><dataPoints>"
        f'<positions axis="2Theta" unit="deg">{place}</positions>'
        f"<commonCountingTime>10.0</commonCountingTime>{factors}"
        f'<{tag} unit="counts">{" ".join(map(str, values))}</{tag}></dataPoints></scan>'
    )


def xrdml(path, *scans, version="2.3"):
    return text(path, XRDML.format(version=version, scans="".join(scans)), "utf-8")


def brml(path, *parts):
    with zipfile.ZipFile(path, "w") as archive:
        for k, content in enumerate(parts):
            archive.writestr(f"Experiment0/RawData{k}.xml", content)
    return path


def brml_scan(extra="", views=True, absorber=1.0):
    rows = "".join(
        f"<Datum>96,{absorber},{a:.4f},{a / 2:.4f},{b}{extra}</Datum>"
        for a, b in zip(X, Y, strict=True)
    )
    told = (
        '<DataViews><RawDataView Start="0" Length="1" LogicName="MeasuredTime"/>'
        '<RawDataView Start="1" Length="1" LogicName="AbsorptionFactor"/>'
        '<RawDataView Start="2" Length="2"><Varying LogicName="ScanAxes">'
        '<FieldDefinitions FieldName="TwoTheta"/><FieldDefinitions FieldName="Theta"/></Varying>'
        '</RawDataView><RawDataView Start="4" Length="1"><Recording LogicName="ScanCounter" '
        'Category="Count"/></RawDataView><RawDataView Start="5" Length="1"><Recording '
        'LogicName="Temperature" Category="Sensor"/></RawDataView></DataViews>'
    )
    return (
        "<RawData><DataRoutes><DataRoute RouteFlag='Measured'><ScanInformation><ScanAxes>"
        "<ScanAxisInfo AxisName='TwoTheta'><Start>10</Start><Increment>0.02</Increment>"
        "</ScanAxisInfo><ScanAxisInfo AxisName='Theta'/></ScanAxes></ScanInformation>"
        f"{rows}{told if views else ''}</DataRoute></DataRoutes>"
        '<WaveLengthAlpha1 Unit="A" Value="1.5406" /></RawData>'
    )


def brml_still(minute=0):
    return (
        f"<RawData><TimeStampStarted>2024-03-12T15:{10 + minute}:00.1234567+02:00"
        "</TimeStampStarted><DataRoutes><DataRoute RouteFlag='Measured'><ScanInformation>"
        "<MeasurementPoints>1</MeasurementPoints><ScaleAxes><ScaleAxisInfo AxisName='TwoTheta'>"
        f"<Start>10</Start><Stop>{X[-1]}</Stop><Increment>0.02</Increment></ScaleAxisInfo>"
        f"</ScaleAxes></ScanInformation><Datum>30,1,25.4,{','.join(map(str, Y))}</Datum><DataViews>"
        '<RawDataView Start="0" Length="1" LogicName="MeasuredTime"/>'
        f'<RawDataView Start="3" Length="{Y.size}"><Recording LogicName="Counter1D"/>'
        "</RawDataView></DataViews></DataRoute></DataRoutes>"
        '<WaveLengthAlpha1 Unit="A" Value="1.5406" /></RawData>'
    )


PLAIN = {
    "raw1.raw": lambda p: raw1(p, 1),
    "raw2.raw": raw2,
    "raw3.raw": raw3,
    "stoe.raw": stoe,
    "rigaku.raw": rigaku,
    "rint.raw": lambda p: rigaku(p, "rint"),
    "elsewhere.raw": lambda p: rigaku(p, "other"),
    "scan.ras": ras,
    "scan.asc": rigaku_type,
    "scan.uxd": uxd,
    "alone.uxd": lambda p: uxd(p, "_COUNTS"),
    "scan.udf": udf,
    "scan.csv": xpert_csv,
    "komma.csv": lambda p: xpert_csv(p, ";", ","),
    "scan.cpi": cpi,
    "scan.mdi": mdi,
    "riet7.dat": riet7,
    "std.gsa": gsas,
    "new.xrdml": lambda p: xrdml(p, xrdml_scan(Y)),
    "old.xrdml": lambda p: xrdml(p, xrdml_scan(Y, "intensities"), version="1.0"),
    "views.brml": lambda p: brml(p, brml_scan(",298.1")),
    "plain.brml": lambda p: brml(p, brml_scan(views=False)),
    "still.brml": lambda p: brml(p, brml_still()),
    "komma.xy": lambda p: text(
        p, "".join(f"{a:.2f}\t{b}\n".replace(".", ",") for a, b in zip(X, Y, strict=True))
    ),
    "heading.xy": lambda p: text(
        p, "2Theta Intensity\n" + "".join(f"{a:.2f} {b}\n" for a, b in zip(X, Y, strict=True))
    ),
    "named.dat": lambda p: text(
        p,
        "# Wavelength: 1.5406e-10 m\n# 2th_deg I\n"
        + "".join(f"{a:.4f} {b}\n" for a, b in zip(X, Y, strict=True)),
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_the_scan_comes_back(tmp_path, name):
    path = PLAIN[name](tmp_path / name)
    regions, ds = opened(path)
    assert len(regions) == 1
    as_written(ds, None if name.startswith(("komma.xy", "heading", "riet7", "std")) else
               {"stoe.raw": 1.54056, "scan.ras": 1.540593}.get(name, 1.5406))  # fmt: skip
    contract.claimed_once(all_formats().values(), path)


@pytest.mark.parametrize("name", PLAIN)
def test_damage_is_told_in_words(tmp_path, name):
    whole = PLAIN[name](tmp_path / name).read_bytes()
    rng = np.random.default_rng(3)
    record = formats.identify(tmp_path / name)
    for k in range(25):
        if k < 8:
            damaged = whole[: int(len(whole) * (k + 0.5) / 8)]
        else:
            damaged = bytearray(whole)
            for at in rng.integers(0, len(whole), 6):
                damaged[at] = rng.integers(0, 256)
        (tmp_path / "cut").mkdir(exist_ok=True)
        path = tmp_path / "cut" / name
        path.write_bytes(bytes(damaged))
        contract.damage_is_an_error_in_words(record, path)


def test_ranges_of_a_rigaku_file_are_a_series(tmp_path):
    _, ds = opened(rigaku(tmp_path / "many.raw", scans=4))
    assert ds["intensity"].dims == ("time", "two_theta")
    assert np.allclose(ds["time"], [0.0, 600.0, 1200.0, 1800.0])
    assert ds.attrs["time_per_step_s"] == 1.5
    whole = rigaku(tmp_path / "one.raw").read_bytes()
    wrong = bytearray(whole)
    struct.pack_into("<f", wrong, 2970, 0.05)  # a step that does not lead to the last point
    (tmp_path / "one.raw").write_bytes(bytes(wrong))
    with pytest.raises(FormatError, match=r"export it as \.ras"):
        formats.read(tmp_path / "one.raw")


UXD = """; ...\\BT86.raw(Diffrac Plus V1.01 file) converted by XCH V1.0
_FILEVERSION=2
_SAMPLE='BT86'
_MONOCHROMATOR=0
; None
_WL_UNIT='A'
_WL1=1.540600
_WL2=1.544390
_WLRATIO=0.500000
_ANODE='Cu'
; (Data for Range number 1)
_DRIVE='{drive}'
_STEPTIME={time}
_STEPSIZE=0.015592
_STEPMODE='C'
_START=9.954000
_2THETACOUNTS
"""


def uxd_rows(n=8):
    # four digits: from 10 degrees on the angles have lost one
    return "".join(f"{9.954 + 0.015592 * i:.4g}\t{260 + i}\n" for i in range(n))


def test_uxd_of_another_converter_keeps_its_steps(tmp_path):
    path = text(tmp_path / "bt.uxd", UXD.format(drive="COUPLED", time=0.5) + uxd_rows())
    _, ds = opened(path)
    assert np.allclose(np.diff(ds["two_theta"]), 0.015592)
    assert ds.attrs["time_per_step_s"] == 0.5


def test_uxd_columns_are_what_the_drive_says(tmp_path):
    with pytest.raises(FormatError, match="scans over THETA only"):
        formats.read(text(tmp_path / "rock.uxd", UXD.format(drive="THETA", time=1) + uxd_rows()))
    both = UXD.format(drive="KHI", time=1) + uxd_rows() + "_DRIVE='2THETA'\n_2THETACOUNTS\n"
    regions, ds = opened(text(tmp_path / "both.uxd", both + uxd_rows(9)))
    assert len(regions) == 1
    assert ds.sizes["two_theta"] == 9


def test_ranges_counted_for_other_times_are_no_series(tmp_path):
    # 2 and 20 s in one file: ten times the counts of the same sample
    body = UXD.format(drive="COUPLED", time=2) + uxd_rows()
    for time in (20, 2):
        body += f"_STEPTIME={time}\n_2THETACOUNTS\n" + uxd_rows()
    regions, _ = opened(text(tmp_path / "times.uxd", body))
    assert len(regions) == 3
    assert [r.attrs["time_per_step_s"] for r in regions.values()] == [2.0, 20.0, 2.0]


def test_udf_as_an_aeris_writes_it(tmp_path):
    head = """SampleIdent,2025_06_03_CeO2_3_60_8min,/
Title1,CeO2 Standard,/
Title2,,/
DiffrType,?,/
DiffrNumber,1,/
Anode,Cu,/
LabdaAlpha1, 1.540598,/
LabdaAlpha2, 1.544426,/
RatioAlpha21, 0.50000,/
DivergenceSlit,Fixed, 1/2,/
ReceivingSlit,UNDEFINED,/
MonochromatorUsed,NO,/
GeneratorVoltage,  40,/
TubeCurrent,  15,/
FileDateTime,03-jun-2025 15:55,/
DataAngleRange,   3.00043,  {end:.5f},/
ScanStepSize, 0.01086644000,/
ScanType,CONTINUOUS,/
ScanStepTime, 18.87,/
RawScan
"""
    counts = 40_000 - 3 * np.arange(300)
    rows = [", ".join(f"{v:7d}" for v in counts[i : i + 8]) for i in range(0, 300, 8)]
    end = 3.00043 + 0.01086644 * 299
    path = text(tmp_path / "aeris.udf", head.format(end=end) + "\n".join(rows) + "/\n")
    _, ds = opened(path)
    assert np.array_equal(ds["intensity"], counts)
    assert np.allclose(ds["two_theta"], 3.00043 + 0.01086644 * np.arange(300), atol=1e-5)
    assert ds.attrs["wavelength_A"] == 1.540598
    assert ds.attrs["ratio_2"] == 0.5


def test_old_bruker_files_hold_several_ranges(tmp_path):
    for repeat in (True, False):
        regions, _ = opened(raw1(tmp_path / f"{repeat}.raw", 2, repeat))
        assert list(regions) == ["range 1", "range 2"]
        for ds in regions.values():
            as_written(ds)


def test_the_ratio_of_the_doublet_is_not_the_beta_line(tmp_path):
    _, ds = opened(raw3(tmp_path / "a.raw"))
    assert ds.attrs["ratio_2"] == pytest.approx(0.48)
    assert ds.attrs["wavelength_2_A"] == pytest.approx(1.54439)


def test_philips_scans_keep_their_counts_to_a_tenth_of_their_error(tmp_path):
    for version, continuous in ((b"V3", 0), (b"V5", 0), (b"V3", 1)):
        _, ds = opened(philips(tmp_path / "a.rd", version, continuous))
        np.testing.assert_allclose(ds["two_theta"].values, X, atol=1e-9)
        assert np.all(np.abs(ds["intensity"].values - Y) <= 0.11 * np.sqrt(Y) + 0.5)
        assert ds.attrs["wavelength_A"] == pytest.approx(1.5406)


@pytest.mark.parametrize(
    ("code", "waves", "anode", "found"),
    [
        # codes as three open readers have them: 0 Cu, 1 Mo, 2 Fe, 3 Cr
        (0, (0.0, 0.0, 0.0), "Cu", (1.5405929, 1.5444274, None)),
        (2, (0.0, 0.0, 0.0), "Fe", (1.936041, 1.939973, None)),
        (3, (0.0, 0.0, 0.0), "Cr", (2.289726, 2.293651, None)),
        (4, (0.0, 0.0, 0.0), None, (None, None, None)),
        # the wavelength decides where both are there
        (4, (1.78897, 1.79285, 0.5), "Co", (1.78897, 1.79285, 0.5)),
        (0, (1.5406, 0.0, 0.0), "Cu", (1.5406, 1.5444274, None)),
        (0, (1.2, 0.0, 0.0), None, (1.2, None, None)),
    ],
)
def test_philips_anodes_and_wavelengths(tmp_path, code, waves, anode, found):
    data = bytearray(philips(tmp_path / "a.rd").read_bytes())
    data[85] = code
    struct.pack_into("<ddd", data, 94, *waves)
    (tmp_path / "a.rd").write_bytes(bytes(data))
    _, ds = opened(tmp_path / "a.rd")
    assert ds.attrs.get("anode") == anode
    for key, value in zip(("wavelength_A", "wavelength_2_A", "ratio_2"), found, strict=True):
        assert ds.attrs.get(key) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize("kind", ["ESD", "FXYE"])
def test_gsas_errors(tmp_path, kind):
    _, ds = opened(gsas(tmp_path / "a.fxye", kind))
    np.testing.assert_allclose(ds["two_theta"].values, X, atol=1e-7)
    np.testing.assert_allclose(ds["intensity"].values, Y)
    np.testing.assert_allclose(ds["uncertainty"].values, np.sqrt(Y), atol=1e-3)


def test_gsas_counts_are_means_of_detectors(tmp_path):
    (tmp_path / "a.instprm").write_text("#GSAS-II\nType:PXC\nLam:0.4137\n")
    _, ds = opened(gsas(tmp_path / "a.gsa", number=4))
    np.testing.assert_allclose(ds["uncertainty"].values, np.sqrt(Y / 4))
    assert ds.attrs["wavelength_A"] == pytest.approx(0.4137)


def test_gsas_energies_and_times_of_flight(tmp_path):
    rows = "".join(" ".join(map(str, Y[i : i + 10])) + "\n" for i in range(0, Y.size, 10))
    path = text(
        tmp_path / "eds.gsa",
        "A title".ljust(59)
        + f"Two-Theta 6.50\nBANK 1 {Y.size} 6 EDS 0.5 0.035 0.0 0.0 STD\n{rows}",
    )
    _, ds = opened(path)
    assert ds.attrs["technique"] == "edxrd"
    assert ds.attrs["header_two_theta_deg"] == pytest.approx(6.5)
    assert "calibration" not in ds.attrs
    np.testing.assert_allclose(ds["photon_energy"].values, 0.5 + 0.035 * np.arange(Y.size))
    np.testing.assert_array_equal(ds["intensity"].values, Y)
    flight = gsas(tmp_path / "tof.gsa")
    flight.write_text(flight.read_text().replace("CONST", "SLOG"))
    with pytest.raises(FormatError, match="time of flight"):
        formats.read(flight)


def test_attenuators_leave_no_step_and_errors_follow_the_counts(tmp_path):
    factor = np.where(np.arange(X.size) < 30, 1.0, 10.0)
    raw = np.round(Y / factor).astype(int)
    told = f"<beamAttenuationFactors>{' '.join(map(str, factor))}</beamAttenuationFactors>"
    new = xrdml(tmp_path / "new.xrdml", xrdml_scan(raw, factors=told))
    old = xrdml(tmp_path / "old.xrdml", xrdml_scan((raw * factor).astype(int), "intensities", told))
    text_file = tmp_path / "a.ras"
    text_file.write_bytes(ras(tmp_path / "b.ras", factor).read_bytes().replace(b"\r\n", b"\n"))
    lines = [f"{a:.4f} {b:.4f} {c:.4f}\n" for a, b, c in zip(X, raw, factor, strict=True)]
    head, _, _ = text_file.read_text().partition("*RAS_INT_START\n")
    text_file.write_text(head + "*RAS_INT_START\n" + "".join(lines) + "*RAS_INT_END\n")
    for path in (new, old, text_file):
        _, ds = opened(path)
        np.testing.assert_allclose(ds["intensity"].values, raw * factor)
        np.testing.assert_allclose(ds["uncertainty"].values, np.sqrt(raw) * factor)
        assert "attenuator" in ds.attrs["attenuation"]


def test_repeated_scans_are_a_series_in_time(tmp_path):
    scans = [xrdml_scan(Y + k, minute=2 * k) for k in range(4)]
    regions, ds = opened(xrdml(tmp_path / "in situ.xrdml", *scans))
    assert list(regions) == ["in situ"]
    np.testing.assert_allclose(ds["time"].values, [0, 120, 240, 360])
    np.testing.assert_array_equal(ds["intensity"].values[3], Y + 3)
    regions, ds = opened(ras(tmp_path / "a.ras", scans=3))
    np.testing.assert_allclose(ds["time"].values, [0, 60, 120])
    regions, ds = opened(brml(tmp_path / "a.brml", *[brml_still(k) for k in range(3)]))
    np.testing.assert_allclose(ds["time"].values, [0, 60, 120])
    regions, ds = opened(raw3(tmp_path / "a.raw", 5))
    assert ds.sizes == {"scan": 5, "two_theta": X.size}
    regions, _ = opened(xrdml(tmp_path / "b.xrdml", *scans[:2]))
    assert len(regions) == 2


def test_scans_of_other_axes_are_left_out_or_named(tmp_path):
    rocking = xrdml_scan(Y, moving=False)
    regions, ds = opened(xrdml(tmp_path / "a.xrdml", rocking, xrdml_scan(Y)))
    assert len(regions) == 1
    as_written(ds)
    with pytest.raises(FormatError, match="Omega"):
        formats.read(xrdml(tmp_path / "b.xrdml", rocking))
    with pytest.raises(FormatError, match="two-theta"):
        formats.read(ras(tmp_path / "a.ras", axis="Omega"))


def test_an_absorber_in_a_bruker_file(tmp_path):
    _, ds = opened(brml(tmp_path / "a.brml", brml_scan(",20.5", absorber=5.0)))
    np.testing.assert_allclose(ds["intensity"].values, 5.0 * Y)
    np.testing.assert_allclose(ds["uncertainty"].values, 5.0 * np.sqrt(Y))


def test_axes_of_q_become_angles(tmp_path):
    wavelength = 0.4133
    q = 4 * np.pi / wavelength * np.sin(np.radians(X / 2))
    for unit, factor, name in (("q_nm^-1", 10.0, "a.dat"), ("q_A^-1", 1.0, "b.chi")):
        rows = "".join(f"{a * factor:.7f} {b} {b**0.5:.5f}\n" for a, b in zip(q, Y, strict=True))
        path = text(
            tmp_path / name,
            f"# pyFAI\n# Wavelength: {wavelength}e-10 m\n# {unit} I sigma\n{rows}",
        )
        _, ds = opened(path)
        np.testing.assert_allclose(ds["two_theta"].values, X, atol=1e-5)
        np.testing.assert_allclose(ds["uncertainty"].values, np.sqrt(Y), atol=1e-4)
        assert ds.attrs["wavelength_A"] == pytest.approx(wavelength)
        bare = text(tmp_path / f"bare_{name}", f"# pyFAI\n# {unit} I sigma\n{rows}")
        with pytest.raises(FormatError, match="wavelength"):
            formats.read(bare)


def test_a_folder_of_scans_is_a_series(tmp_path):
    folder = tmp_path / "operando"
    folder.mkdir()
    for k in range(5):
        xrdml(folder / f"cell_{k + 1}.xrdml", xrdml_scan(Y + k, minute=10 - 2 * k))
    (folder / "notes.txt").write_text("charged at C/10\n")
    regions, ds = opened(folder)
    assert list(regions) == ["operando"]
    np.testing.assert_allclose(ds["time"].values, [0, 120, 240, 360, 480])
    np.testing.assert_array_equal(ds["intensity"].values[0], Y + 4)
    plain = tmp_path / "plain"
    plain.mkdir()
    for k in (2, 10, 1):
        rows = "".join(f"{a:.3f} {b + k}\n" for a, b in zip(X, Y, strict=True))
        text(plain / f"scan{k}.xy", rows)
    _, ds = opened(plain)
    np.testing.assert_array_equal(ds["scan"].values, [1, 2, 10])
    np.testing.assert_array_equal(ds["intensity"].values[2], Y + 10)
    text(plain / "scan11.xy", "".join(f"{a + 1:.3f} {b}\n" for a, b in zip(X, Y, strict=True)))
    with pytest.raises(FormatError, match=r"scan11.xy has another two-theta axis"):
        formats.read(plain)


def test_neutron_tables_with_errors_and_words_below(tmp_path):
    values = "".join(
        "".join(f"{v:8d}." for v in Y[i : i + 10]) + "\n" for i in range(0, Y.size, 10)
    )
    errors = "".join(
        "".join(f"{v**0.5:9.2f}" for v in Y[i : i + 10]) + "\n" for i in range(0, Y.size, 10)
    )
    path = text(
        tmp_path / "dmc.dat",
        f"DMC, a sample\n lambda= 2.56650, T= 1.5\n  10.000  0.020  {X[-1]:.3f}  400000., x=1\n"
        f"{values}{errors} Filelist='dmc/2000/dmc2000n000001.hdf'\n",
    )
    _, ds = opened(path)
    np.testing.assert_allclose(ds["two_theta"].values, X, atol=1e-9)
    np.testing.assert_allclose(ds["intensity"].values, Y)
    np.testing.assert_allclose(ds["uncertainty"].values, np.sqrt(Y), atol=0.01)

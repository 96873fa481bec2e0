"""Readers of multichannel spectra and powder patterns, on real files and damaged ones."""

from __future__ import annotations

import struct
import zipfile

import h5py
import numpy as np
import pytest

from spectra import formats
from spectra.convention import check
from spectra.errors import FormatError, InterphaseError
from spectra.formats.registry import formats as registered
from spectra.formats.registry import identify
from tests.shared_data import data

MCA = {
    "edxrd/aps16bmb_Au-wire_15deg_header15.0146.hpmca": ("epics_mca", 4000, 3_193_591),
    "edxrd/aps13idd_Cd109-Co57_2002.001": ("epics_mca", 2000, 70_158),
    "edxrd/aps16bmb_GSD192_Cd109-Co57.hpmca": ("epics_mca", 4096, 7_653_160),
    "edxrd/amptek_CdTe_Co57.mca": ("amptek_mca", 4096, 1_868_289),
    "edxrd/csi_Kromek_Ba133_Cs137.spe": ("ortec_spe", 4094, 166_239),
    "edxrd/hpge_kelp.Spe": ("ortec_spe", 8192, 2_279_915),
    "edxrd/hpge_kelp.h5": ("hdf5_map", 8192, 2_279_915),
    "edxrd/hpge_Alcatraz14.Spc": ("ortec_spc", 8192, 132_978),
    "edxrd/hpge_beach_Falcon5000.cnf": ("canberra_cnf", 4096, 683_658),
    "edxrd/hpge_dummy_iec1455.iec": ("iec1455", 2048, 74_305_419),
    "edxrd/pymca_XRFSpectrum_onecolumn.mca": ("mca_column", 4096, 56_640_073),
    "edxrd/syn_map_FeS2_Li6PS5Cl_LiIn.h5": ("hdf5_map", 3072, 70_408_135),
}
XRD = {
    "xrd/corundum.brml": ("bruker_brml", 6851, 2_350_880),
    "xrd/corundum.raw": ("bruker_raw", 6851, 2_350_880),
    "xrd/corundum.xye": ("xrd_xy", 6851, 2_400_495 / 96),
    "xrd/MnO.xy": ("xrd_xy", 9001, None),
    "xrd/LaB6_40keV_MarCCD.chi": ("xrd_chi", 2112, None),
    "xrd/LiMn2O4_two-phase.plt": ("gadds_plt", 4001, None),
    "xrd/XRD-918-16_10.xrdml": ("panalytical_xrdml", 5027, None),
    "xrd/TwoTheta_scan_powder.rasx": ("rigaku_rasx", 2726, None),
    "xrd/operando_LCoV": ("xrd_operando", 3517, None),
}


@pytest.mark.parametrize("name", MCA)
def test_mca_counts(name):
    path = data(name)
    expected, channels, total = MCA[name]
    assert identify(path).name == expected
    (ds,) = formats.read(path, technique="edxrd").values()
    check(ds)
    assert ds["intensity"].shape[-1] == channels
    assert int(ds["intensity"].sum()) == total
    assert ds["intensity"].dtype.kind in "iu"
    assert "calibration" not in ds.attrs


@pytest.mark.parametrize("name", XRD)
def test_patterns(name):
    path = data(name)
    expected, points, total = XRD[name]
    assert identify(path).name == expected
    (ds,) = formats.read(path).values()
    check(ds)
    assert ds.attrs["technique"] == "xrd"
    assert ds["intensity"].shape[-1] == points
    if total is not None:
        assert float(ds["intensity"].sum()) == pytest.approx(total, rel=1e-4)


def test_raw_and_brml_are_the_same_scan():
    (raw,) = formats.read(data("xrd/corundum.raw")).values()
    (brml,) = formats.read(data("xrd/corundum.brml")).values()
    assert np.array_equal(raw["intensity"], brml["intensity"])
    assert np.allclose(raw["two_theta"], brml["two_theta"], atol=1e-6)


def test_text_and_hdf5_of_one_spectrum_agree():
    (text,) = formats.read(data("edxrd/hpge_kelp.Spe"), technique="edxrd").values()
    (binary,) = formats.read(data("edxrd/hpge_kelp.h5"), technique="edxrd").values()
    assert np.array_equal(text["intensity"], binary["intensity"])
    assert float(text["live_time"]) == float(binary["live_time"])


def test_known_gamma_lines_lie_where_they_are_said_to():
    for name, energy, found in (
        ("edxrd/hpge_beach_Falcon5000.cnf", 609.31, 609.05),
        ("edxrd/hpge_Alcatraz14.Spc", 1460.82, 1461.49),
    ):
        (ds,) = formats.read(data(name), technique="edxrd").values()
        near = ds.sel(photon_energy=slice(energy - 6, energy + 6))
        top = float(near["photon_energy"][int(np.argmax(near["intensity"].values))])
        assert top == pytest.approx(found, abs=0.8)


def test_a_bare_mca_asks_what_was_measured():
    with pytest.raises(FormatError, match="--technique"):
        formats.read(data("edxrd/hpge_kelp.Spe"))
    (ds,) = formats.read(data("edxrd/hpge_kelp.Spe"), technique="ndp").values()
    assert ds["intensity"].dims == ("channel",)


def test_operando_folder_is_a_series_in_time():
    (ds,) = formats.read(data("xrd/operando_LCoV")).values()
    assert ds["intensity"].dims == ("scan", "two_theta")  # all files carry the date of the export
    assert list(ds["scan"].values) == list(range(1, 98, 4))
    assert ds.attrs["wavelength_A"] == pytest.approx(1.5406)


def test_fio_gathers_its_spectra():
    (ds,) = formats.read(data("edxrd/p61a_tth_scan/tth_shift_00001.fio")).values()
    assert ds["intensity"].dims[0] == "scan"
    assert np.allclose(ds["header_two_theta"], 5.0 + 0.1 * ds["scan"])
    with pytest.raises(FormatError, match="put them beside it"):
        formats.read(data("edxrd/p61a_Ti_depth_scan_phi0.fio"))


CUT = [n for n in (*MCA, *XRD) if n not in ("edxrd/pymca_XRFSpectrum_onecolumn.mca",
       "xrd/operando_LCoV")]  # fmt: skip


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", CUT)
def test_a_truncated_file_is_an_error_in_words(name, share, tmp_path):
    path = data(name)
    whole = path.read_bytes()
    cut = tmp_path / path.name
    cut.write_bytes(whole[: int(share * len(whole))])
    record = registered()[(MCA | XRD)[name][0]]
    message = ""
    try:
        (ds, *_) = record.read(
            cut, formats.base.Options("edxrd" if name in MCA else "xrd")
        ).values()
    except FormatError as error:
        message = str(error)
    if message:
        assert "\n" not in message
        assert path.stem in message
    elif record.name == "amptek_mca":  # its counts end before the file does
        assert int(ds["intensity"].sum()) == MCA[name][2]
    else:  # plain columns do not say how many rows there are
        assert record.name in ("xrd_xy", "gadds_plt"), f"{name} was read as whole"
        assert ds["intensity"].shape[-1] < (MCA | XRD)[name][1]


def test_chn_round_trip(tmp_path):
    counts = np.arange(256, dtype="<i4")
    head = struct.pack("<hhh2sii8s4shh", -1, 1, 1, b"00", 5100, 5000, b"01JAN26*", b"1200", 0, 256)
    tail = struct.pack("<hh3f", -102, 0, 1.0, 0.5, 1e-6)
    path = tmp_path / "x.chn"
    path.write_bytes(head + counts.tobytes() + tail + bytes(496))
    (ds,) = formats.read(path, technique="edxrd").values()
    assert np.array_equal(ds["intensity"], counts)
    assert float(ds["live_time"]) == pytest.approx(100.0)
    assert float(ds["real_time"]) == pytest.approx(102.0)
    assert ds.attrs["header_c1_keV"] == pytest.approx(0.5)
    path.write_bytes((head + counts.tobytes())[:400])
    with pytest.raises(FormatError, match="truncated"):
        formats.read(path, technique="edxrd")


def test_epics_identity_scale_is_none(tmp_path):
    path = tmp_path / "x.mca"
    rows = "\n".join(str(i % 7) for i in range(64))
    path.write_text(
        "VERSION:    3.1\nELEMENTS:   1\nDATE:   \nCHANNELS:   64\nROIS:  0\nREAL_TIME: 0\n"
        "LIVE_TIME: 0\nCAL_OFFSET: 0.0e+000\nCAL_SLOPE: 1.0e+000\nCAL_QUAD: 0.0e+000\n"
        f"TWO_THETA: 0\nDATA:\n{rows}\n"
    )
    (ds,) = formats.read(path).values()
    assert ds["intensity"].dims == ("channel",)
    assert "live_time" not in ds
    assert "header_c1_keV" not in ds.attrs
    path.write_text("VERSION: 3.1\nELEMENTS: x\nCHANNELS: 64\nDATA:\n" + rows)
    with pytest.raises(FormatError, match="ELEMENTS"):
        formats.read(path)


def test_declared_hdf5_layout(tmp_path):
    path = tmp_path / "scan.h5"
    counts = np.random.default_rng(1).poisson(5.0, (3, 4, 128))
    with h5py.File(path, "w") as file:
        file["raw/mca"] = counts
        file["raw/samz"] = np.arange(4) * 0.02
        file["raw/live"] = np.full((3, 4), 10.0)
    side = tmp_path / "scan.map.yaml"
    side.write_text(
        "counts: raw/mca\ndims: [time, position]\ncoords: {position: raw/samz}\n"
        "units: {position: mm}\nlive_time: raw/live\nenergy_calibration: [0.1, 0.05, 0.0]\n"
    )
    (ds,) = formats.read(path).values()
    assert np.array_equal(ds["intensity"], counts)
    assert np.allclose(ds["position"], [0, 20, 40, 60])
    assert "calibration" not in ds.attrs
    side.write_text("counts: raw/nothing\n")
    with pytest.raises(InterphaseError, match="no array"):
        formats.read(path)
    side.write_text("count: raw/mca\n")
    with pytest.raises(InterphaseError, match="counts"):
        formats.read(path)


def test_xml_with_entities_is_refused(tmp_path):
    path = tmp_path / "x.xrdml"
    path.write_text('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><xrdMeasurements>&b;'
                    "</xrdMeasurements>")  # fmt: skip
    with pytest.raises(FormatError, match="entities"):
        formats.read(path)


def test_zip_without_profiles(tmp_path):
    path = tmp_path / "x.rasx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("root.xml", "<a/>")
    with pytest.raises(FormatError, match="Profile"):
        formats.read(path)

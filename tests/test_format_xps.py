"""XPS files against independent decodes of the same measurement, and cut files against errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import workbench as wb
from spectra import formats
from spectra.errors import FormatError
from tests.shared_data import data

SAMPLES = [
    ("xps/vamas/kratos_supra_niw_0-150W.vms", "iso_vamas", 5),
    ("xps/vamas/phi_multipak_C_O_S_N_Mo.npl", "iso_vamas", 5),
    ("xps/vamas/specs_prodigy_irregular.vms", "iso_vamas", 1),
    ("xps/phi/BN-BS-1/BN-BS-1 multiplex.spe", "phi_spe", 6),
    ("xps/phi/quantum2000_F1s_survey.spe", "phi_spe", 2),
    ("xps/phi/SnO2_10nm_1.pro", "phi_spe", 4),
    ("xps/phi/BN-BS-1/BN-BS-1 multiplex.txt", "phi_txt", 6),
    ("xps/phi/BN-BS-1/BN-BS-1 multiplex.ASN", "phi_asn", 6),
    ("xps/phi/phi_pro_ref.nxs", "nexus_nxxps", 4),
    ("xps/scienta/Ag_0001.txt", "scienta_txt", 1),
    ("xps/scienta/Ag_0001Ag__001.ibw", "scienta_ibw", 1),
    ("xps/specs/In-situ_PBTTT_XPS_SPECS.xml", "specs_xml", 2),
    ("xps/specs/MgFe2O4_small.xy", "specs_xy", 2),
    ("xps/specs/EX439_S718_Au_in_25_mbar_O2.sle.gz", "specs_sle", 8),
    ("xps/casaxps_feo/FeO_analyzed_lineshapes_cols.txt", "casaxps_txt", 1),
    ("xps/ascii/casaxps_txt_export.txt", "casaxps_txt", 4),
    ("xps/casaxps_csv_tfsi/20240228_Au_MPPipTFSIIol3_S_2p.csv", "casaxps_txt", 1),
    ("xps/thermo/Hard_carbon_Thermo.xlsx", "thermo_xlsx", 5),
    ("xps/thermo/Hard_carbon_Thermo_Kfitting.xlsx", "thermo_xlsx", 5),
    ("xps/thermo/Hard_carbon_Thermo_Kfitting.json", "kherve_json", 5),
    ("xps/thermo/avantage_dataspace_Cu_9x9_map.avg.txt", "avantage_dataspace", 14),
    ("xps/ascii/PET_C1s.csv", "xps_columns", 1),
    ("xps/ascii/clean_Au_4f.csv", "xps_columns", 1),
]


def read(name: str):
    return formats.read(data(name))


def values(ds):
    return ds["binding_energy"].values, ds["intensity"].values


@pytest.mark.parametrize(("name", "format_name", "count"), SAMPLES)
def test_each_sample_is_claimed_by_its_format_alone(name, format_name, count):
    path = data(name)
    assert formats.identify(path).name == format_name
    assert len(read(name)) == count


@pytest.mark.parametrize(("name", "format_name", "count"), SAMPLES)
def test_a_cut_file_is_an_error_of_one_line_or_shorter_text(name, format_name, count, tmp_path):
    whole = data(name).read_bytes()
    cut = tmp_path / Path(name).name
    cut.write_bytes(whole[: int(0.6 * len(whole))])
    if format_name == "xps_columns":  # two columns say nothing of their length
        cut.write_bytes(cut.read_bytes().rpartition(b"\n")[0] + b"\n285.0,")
    if format_name == "nexus_nxxps":
        with pytest.raises(FormatError):  # HDF5 cannot be opened: no format claims it
            formats.read(cut)
        return
    with pytest.raises(FormatError) as caught:
        formats.read(cut, format=format_name)
    assert cut.name in str(caught.value)
    assert "\n" not in str(caught.value)


# -- VAMAS -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("region", ["wide", "Ni 2p", "O 1s", "C 1s", "W 4f"])
def test_vamas_equals_another_programs_decode(region):
    x, y = values(wb.open(data("xps/vamas/kratos_supra_niw_0-150W.vms"), region=region))
    tag = region.replace(" ", "")
    other = np.loadtxt(
        data(f"xps/vamas/kratos_supra_niw_0-150W_{tag}_{tag}.txt"), skiprows=1, delimiter="\t"
    )[::-1]
    np.testing.assert_allclose(x, other[:, 0], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(y, other[:, 1])
    assert y.dtype.kind == "i"


def test_vamas_regular_and_irregular_are_one_measurement():
    a, b = (
        next(iter(read(f"xps/vamas/specs_prodigy_{kind}.vms").values()))
        for kind in ("regular", "irregular")
    )
    np.testing.assert_allclose(values(a)[0], values(b)[0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(values(b)[1], 10.0 * values(a)[1], rtol=1e-12)
    np.testing.assert_allclose(a["transmission"].values, b["transmission"].values, rtol=1e-12)


def test_vamas_of_multipak_and_its_maxima():
    regions = read("xps/vamas/phi_multipak_C_O_S_N_Mo.npl")
    for name, at in (("C 1s", 284.85), ("O 1s", 531.60), ("S 2p", 161.40), ("N 1s", 399.25),
                     ("Mo 3d", 228.45)):  # fmt: skip
        x, y = values(regions[name])
        assert x[np.argmax(y)] == pytest.approx(at, abs=1e-6)
        assert regions[name]["intensity"].attrs["units"] == "counts/s"


def test_vamas_angle_becomes_a_dimension():
    regions = read("xps/vamas/kratos_arxps_al_foil.vms")
    np.testing.assert_array_equal(regions["Al 2p"]["angle"], [0, 40, 55, 63, 70])
    top = regions["Al 2p"]["intensity"].max("binding_energy").values
    assert (top[0], top[3]) == (2459, 757)
    # Every region of the series is referenced by the C 1s of the same sample: the mean over angles.
    x, y = values(regions["C 1s"].mean("angle"))
    carbon = json.loads(regions["Al 2p"].attrs["reference_lines"])["C 1s"][0]
    assert carbon == pytest.approx(x[np.argmax(y)], abs=0.15)
    moved = wb.calibrate(regions["Al 2p"], line="C 1s", at=284.8)
    assert moved.attrs["energy_shift_eV"] == pytest.approx(284.8 - carbon)


def test_vamas_samples_repeats_and_unnamed_blocks():
    many = read("xps/vamas/kratos_ws2_mos2_casaxps.vms")
    assert len(many) == 54
    assert many["S 2p (RW_WS2)"].attrs["casaxps_shift_eV"] == pytest.approx(4.059)
    blank = read("xps/vamas/omicron_eis_unnamed_blocks.vms")
    assert [ds.sizes["binding_energy"] for ds in blank.values()] == [8201, 321, 941, 541]
    mapped = read("xps/vamas/kratos_axis_map_mode_s2p.vms")
    assert {"Wide", "Wide #2", "S 2p", "Au 4f"} <= set(mapped)
    assert int(mapped["Au 4f"]["intensity"].max()) == 84
    oxides = read("xps/vamas/specs_mn_oxide_references.vms")
    assert [ds.attrs["sample"] for ds in oxides.values()] == ["MnO", "Mn2O3", "MnO2"]


# -- PHI -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["BN-BS-1/BN-BS-1 multiplex", "BN-BS-2/BN-BS-2 MULTIPLEX", "BN-BS-1/BN-BS-1 SURVEY",
     "BN-BS-2/BN-BS-2 SURVEY"],
)  # fmt: skip
def test_phi_spe_equals_the_vendors_own_export(name):
    binary, text = read(f"xps/phi/{name}.spe"), read(f"xps/phi/{name}.txt")
    assert len(binary) == len(text)
    for ours, theirs in zip(binary.values(), text.values(), strict=True):
        np.testing.assert_allclose(values(ours)[0], values(theirs)[0], rtol=0, atol=1e-9)
        seconds = theirs.attrs["counting_time_s"]
        np.testing.assert_allclose(values(ours)[1], values(theirs)[1] / seconds, rtol=5e-7)
        assert values(theirs)[1].dtype.kind == "i"
        sigma = np.sqrt(np.maximum(values(theirs)[1], 1)) / seconds
        np.testing.assert_allclose(ours["uncertainty"].values, sigma, rtol=1e-6)


@pytest.mark.parametrize(
    "name",
    ["BN-BS-1/BN-BS-1 multiplex", "BN-BS-2/BN-BS-2 MULTIPLEX", "BN-BS-1/BN-BS-1 SURVEY",
     "BN-BS-2/BN-BS-2 SURVEY"],
)  # fmt: skip
def test_phi_asn_holds_the_spectra_of_the_spe(name):
    document, binary = read(f"xps/phi/{name}.ASN"), read(f"xps/phi/{name}.spe")
    assert len(document) == len(binary)
    for (label, ours), (other, theirs) in zip(document.items(), binary.items(), strict=True):
        assert label == other or label == "Survey"
        np.testing.assert_allclose(values(ours)[0], values(theirs)[0], rtol=0, atol=1e-4)
        np.testing.assert_allclose(values(ours)[1], values(theirs)[1], rtol=1e-6)
        assert ours.attrs["photon_energy_eV"] == 1253.6
        assert ours.attrs["counting_time_s"] == pytest.approx(theirs.attrs["counting_time_s"])


def test_phi_spe_and_profile_equal_the_nexus_decode():
    ours = next(iter(read("xps/phi/SnO2_10nm.spe").values()))
    theirs = next(iter(read("xps/phi/phi_spe_ref.nxs").values()))
    np.testing.assert_allclose(values(ours)[0], values(theirs)[0], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(values(ours)[1], values(theirs)[1])
    profile, other = read("xps/phi/SnO2_10nm_1.pro"), read("xps/phi/phi_pro_ref.nxs")
    assert set(profile) == set(other)
    for name, ds in profile.items():
        np.testing.assert_allclose(ds["etch_time"], np.arange(0, 601, 30))
        np.testing.assert_array_equal(values(ds)[1], values(other[name])[1])
    tin = profile["Sn 3d5"]
    top = tin["intensity"].max("binding_energy").values
    assert (round(float(top[4])), round(float(top[20]))) == (195875, 66288)
    at = tin["binding_energy"].values[tin["intensity"].argmax("binding_energy").values]
    assert (at[4], at[20]) == pytest.approx((484.8, 485.8), abs=0.2)


# -- Scienta, SPECS --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2])
def test_scienta_text_and_igor_wave_are_one_spectrum(number):
    text = next(iter(read(f"xps/scienta/Ag_000{number}.txt").values()))
    wave = next(iter(read(f"xps/scienta/Ag_000{number}Ag__00{number}.ibw").values()))
    np.testing.assert_allclose(values(text)[0], values(wave)[0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(values(text)[1], values(wave)[1], rtol=0, atol=1e-12)
    if number == 1:
        x, y = values(text)
        assert x[np.argmax(y)] == pytest.approx(369.90, abs=0.01)
        assert text.attrs["photon_energy_eV"] == 520.0


def test_specs_xy_equals_the_nexus_decode():
    ours, theirs = read("xps/specs/MgFe2O4_small.xy"), read("xps/specs/specs_xy_ref.nxs")
    for name in ("Survey", "Fe 2p"):
        np.testing.assert_allclose(values(ours[name])[0], values(theirs[name])[0], atol=1e-9)
        np.testing.assert_allclose(values(ours[name])[1], values(theirs[name])[1], rtol=1e-12)


def test_specs_xml_counts_are_those_of_the_nexus_decode_but_aligned():
    import h5py

    ours = read("xps/specs/In-situ_PBTTT_XPS_SPECS.xml")["C 1s"]
    with h5py.File(data("xps/specs/specs_xml_ref.nxs")) as file:
        raw = file["PBTTT_1_2_V__C1s/instrument/electronanalyzer/detector/raw_data/raw"][()]
    assert ours["intensity"].shape == (2, 201)
    # The reference cuts 33 points off every channel; the channels belong at 63, 47, 31, 15 and 0.
    first = np.array([63, 47, 31, 15, 0]) - 33
    inside = slice(35, 165)
    rows = np.arange(201)[inside]
    summed = sum(raw[:, k, rows + f] for k, f in enumerate(first))
    np.testing.assert_array_equal(values(ours)[1][:, ::-1][:, inside], summed)
    # Aligned channels make one line; cut alike they smear it over several eV.
    assert values(ours)[1].sum(axis=0).max() > 1.5 * raw.sum(axis=(0, 1)).max()


def test_specs_sle_keeps_every_scan():
    regions = read("xps/specs/EX439_S718_Au_in_25_mbar_O2.sle.gz")
    shapes = {name: ds["intensity"].shape for name, ds in regions.items()}
    assert sorted(shapes.values()) == sorted(
        [(3000, 130), (2, 2401), (4, 1001), (3000, 130), (100, 2401), (300, 1001), (100, 1001),
         (19, 2531)]
    )  # fmt: skip
    gold = regions["Au 4f (Au in vacuum)"]
    x, y = gold["binding_energy"].values, gold["intensity"].sum("scan").values
    assert (x[0], x[-1]) == pytest.approx((75.0, 175.0))
    assert x[np.argmax(y)] == pytest.approx(84.0, abs=0.3)


# -- CasaXPS, Thermo, KherveFitting ----------------------------------------------------------------


def test_casaxps_columns_equal_the_vamas_and_the_nexus_of_the_same_fit():
    columns = read("xps/casaxps_feo/FeO_analyzed_lineshapes_cols.txt")["Fe 2p"]
    vamas = next(iter(read("xps/casaxps_feo/FeO_analyzed.vms").values()))
    nexus = read("xps/casaxps_feo/vms_analysis_ref.nxs")["Fe 2p"]
    np.testing.assert_allclose(values(columns)[0], values(vamas)[0], atol=1e-6)
    np.testing.assert_allclose(values(columns)[1], values(vamas)[1], rtol=1e-6)
    np.testing.assert_allclose(values(columns)[1], 2.0 * values(nexus)[1], rtol=1e-6)
    listed = json.loads(columns.attrs["casaxps_components"])
    assert [c["Position"] for c in listed] == ["709.05", "716.00", "722.13", "729.89"]
    assert [float(c["Area"]) for c in listed] == [63507.37, 35837.06, 49042.13, 17705.16]
    parts = columns["reported_components"] - columns["reported_background"]
    whole = columns["reported_envelope"] - columns["reported_background"]
    np.testing.assert_allclose(parts.sum("component"), whole, atol=0.05)


@pytest.mark.parametrize(
    ("region", "table"),
    [
        ("S_2p", [(162.17, 367), (163.35, 184), (169.00, 1479), (170.18, 739)]),
        ("N_1s", [(399.50, 1038), (402.68, 894)]),
        ("F_1s", [(688.84, 11598), (685.71, 527)]),
        ("C_1s", [(285.96, 27535), (289.88, 631), (292.97, 894)]),
        ("Au_4f", [(83.99, 34711), (87.66, 26034)]),
    ],
)
def test_casaxps_csv_components_of_the_published_table(region, table):
    ds = next(iter(read(f"xps/casaxps_csv_tfsi/20240228_Au_MPPipTFSIIol3_{region}.csv").values()))
    x = ds["binding_energy"].values
    for part, (at, area) in zip(ds["reported_components"].values, table, strict=True):
        above = part - ds["reported_background"].values
        assert x[np.argmax(above)] == pytest.approx(at, abs=0.08)
        assert np.trapezoid(above, x) == pytest.approx(area, rel=0.02, abs=3)


def test_avantage_workbook_and_kherve_hold_the_same_counts():
    excel = read("xps/thermo/Hard_carbon_Thermo.xlsx")
    book = read("xps/thermo/Hard_carbon_Thermo_Kfitting.xlsx")
    model = read("xps/thermo/Hard_carbon_Thermo_Kfitting.json")
    sizes = {"O 1s": 151, "Na 1s": 171, "C 1s": 191, "CKLL": 501}
    for name, size in sizes.items():
        x, y = values(excel[name])
        assert x.size == size
        for other in (book, model):
            np.testing.assert_allclose(x, values(other[name])[0], atol=0.006)
            np.testing.assert_allclose(y, values(other[name])[1], rtol=2e-6, atol=0.006)
    assert excel["C 1s"]["intensity"].attrs["units"] == "counts/s"
    peaks = {p["Name"]: p for p in json.loads(excel["C 1s"].attrs["reported_peaks"])}
    assert peaks["C1s sp2 C"]["Peak BE"] == pytest.approx(284.53, abs=0.005)
    assert peaks["C1s sp2 C"]["Atomic %"] == pytest.approx(80.23, abs=0.005)
    fitted = json.loads(model["C 1s"].attrs["reported_peaks"])
    assert fitted["C1s C=C"]["FWHM"] == 0.64
    platinum = read("xps/thermo/Pt4f.json")["Pt 4f"]
    assert json.loads(platinum.attrs["reported_peaks"])["Pt4f7/2 p1"]["Position"] == 71.07


def test_avantage_map_of_fitted_peaks_is_whole():
    regions = read("xps/thermo/avantage_dataspace_Cu_9x9_map.avg.txt")
    every = np.stack([ds["intensity"].values for ds in regions.values()])
    assert every.shape == (14, 9, 9, 5)
    assert np.isfinite(every).all()
    np.testing.assert_array_equal(regions["S 2p3"]["x"], 4000.0 * np.arange(9))
    sulfur = [regions[n]["intensity"].isel(channel=4).mean() for n in ("S 2p3", "S 2p1")]
    assert float(sulfur[0]) == pytest.approx(1324.794, abs=0.001)
    assert float(sulfur[0] - sulfur[1]) == pytest.approx(1.18, abs=0.005)
    phosphorus = [regions[n]["intensity"].isel(channel=4).mean() for n in ("P 2p3", "P 2p1")]
    assert float(phosphorus[0]) == pytest.approx(1357.543, abs=0.001)
    percent = sum(ds["intensity"].isel(channel=1) for ds in regions.values())
    np.testing.assert_allclose(percent, 100.0, atol=0.01)


def test_two_columns_of_kinetic_energy_with_the_photon_energy_in_words():
    gold = read("xps/ascii/clean_Au_4f.csv")["Au 4f"]
    assert gold.attrs["photon_energy_eV"] == 180.0
    x, y = values(gold)
    assert x.size == 294
    assert 180.0 - x[np.argmax(y)] == pytest.approx(92.31, abs=0.05)
    pet = read("xps/ascii/PET_C1s.csv")["C 1s"]
    assert pet["binding_energy"].values[np.argmax(pet["intensity"].values)] == pytest.approx(
        284.60, abs=0.01
    )


# -- referencing through the file ------------------------------------------------------------------


def test_carbon_of_the_same_sample_references_sulfur():
    path = data("xps/vamas/kratos_ws2_mos2_casaxps.vms")
    ds = wb.open(path, region="S 2p (RW_WS2)")
    mine = wb.calibrate(ds, line="C 1s", at=284.8)
    casa = wb.calibrate(ds, "casaxps")
    difference = mine["binding_energy"].values - casa["binding_energy"].values
    assert np.ptp(difference) < 1e-9
    assert abs(difference[0]) < 0.1  # two opinions on where C 1s is
    assert "same sample" in mine.attrs["calibration"]


def test_xml_with_entities_is_refused(tmp_path):
    bomb = tmp_path / "x.xml"
    bomb.write_text(
        '<?xml version="1.0"?><!-- XMLSerializer2 --><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    )
    with pytest.raises(FormatError, match="entities"):
        formats.read(bomb, format="specs_xml")

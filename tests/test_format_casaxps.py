"""CasaXPS's text exports in all their layouts, written here: the same spectra come out."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from spectra import formats
from spectra.errors import FormatError

PHOTON, SECONDS = 1486.6, 2.5
PARTS = [
    ("sulfide, free", 160.2, 1.1, 900.0, "GL(30)"),
    ("PS4", 161.6, 1.1, 3000.0, "LA(1.53,243)"),
]


def spectrum_of(seed, n=25, start=170.0):
    rng = np.random.default_rng(seed)
    be = start - 0.1 * np.arange(n)
    counts = rng.poisson(400.0, n).astype(float)
    return be, counts, 100.0 + be, 150.0 + be  # binding energy, counts, two curves


def text(rows, mark):
    """Write rows as CasaXPS does; its tables end with the letter after the last number."""
    out = io.StringIO()
    csv.writer(out, delimiter=mark, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def below(blocks, mark, fit=True):
    rows = []
    for k, (sample, region, data) in enumerate(blocks):
        be, counts, one, two = data
        names = [p[0] for p in PARTS] if fit else []
        rows.append([f"Cycle {k}:{sample}:{region}"])
        rows.append(["", "Characteristic Energy eV", PHOTON, "Acquisition Time s", SECONDS])
        for i, key in enumerate(("Name", "Position", "FWHM", "Area", "Lineshape")):
            rows.append([key, "", *(p[i] for p in PARTS if fit)])
        tail = ["Background", "Envelope"] if fit else []
        tail_cps = [f"{t} CPS" for t in tail]
        rows.append(["K.E.", "Counts", *names, *tail, "", "B.E.", "CPS", *names, *tail_cps])
        for i in range(be.size):
            curves = [one[i], two[i], 90.0, one[i] + two[i] - 90.0] if fit else []
            rows.append([f"{PHOTON - be[i]:.6e}", counts[i], *curves, "", f"{be[i]:.6e}",
                         counts[i] / SECONDS, *(c / SECONDS for c in curves)])  # fmt: skip
    return text(rows, mark)


def beside(blocks, mark, first_line=False):
    rows = [["Characteristic Energy eV", PHOTON, "Acquisition Time s", SECONDS]] * first_line
    for i, key in enumerate(("Name", "Position", "FWHM", "Area", "Lineshape")):
        rows.append([w for _ in blocks for w in (key, "", *(p[i] for p in PARTS), "")])
    heads = []
    for k, (sample, region, _) in enumerate(blocks):
        heads += ["B.E.", f"Cycle {k}:{sample}:{region}:CPS"]
        heads += [*(f"{region}:{p[0]}" for p in PARTS), ""]
    rows.append(heads)
    for i in range(max(d[0].size for _, _, d in blocks)):
        row = []
        for _, _, (be, counts, one, two) in blocks:
            row += [be[i], counts[i] / SECONDS, one[i], two[i], ""] if i < be.size else [""] * 5
        rows.append(row)
    return text(rows, mark)


def check(ds, data):
    be, counts, one, two = data
    np.testing.assert_allclose(ds["binding_energy"].values[::-1], be, atol=1e-6)
    rate = 1.0 if ds["intensity"].attrs["units"] == "counts" else SECONDS
    np.testing.assert_allclose(ds["intensity"].values[::-1] * rate, counts, rtol=1e-6)
    if "reported_components" in ds:
        np.testing.assert_allclose(ds["reported_components"].values[:, ::-1], [one, two], rtol=1e-6)


@pytest.mark.parametrize("fit", [True, False])
@pytest.mark.parametrize("mark", ["\t", ","])
def test_tables_one_below_the_other(tmp_path, mark, fit):
    blocks = [
        ("cell 7", "S 2p", spectrum_of(0)),
        ("cell 7", "Cl2p Scan", spectrum_of(1, 30, 210.0)),
    ]
    path = tmp_path / ("a.txt" if mark == "\t" else "a.csv")
    path.write_bytes(below(blocks, mark, fit).encode())
    assert formats.identify(path).name == "casaxps_txt"
    regions = formats.read(path)
    assert list(regions) == ["S 2p", "Cl 2p"]
    for ds, (_, _, data) in zip(regions.values(), blocks, strict=True):
        check(ds, data)
        assert ds["intensity"].dtype.kind == "i"
        assert ("reported_background" in ds) == fit
        if fit:
            listed = json.loads(ds.attrs["casaxps_components"])
            assert [p["Name"] for p in listed] == ["sulfide, free", "PS4"]
            assert [p["Lineshape"] for p in listed] == ["GL(30)", "LA(1.53,243)"]


@pytest.mark.parametrize("first_line", [True, False])
@pytest.mark.parametrize("mark", ["\t", ","])
def test_tables_side_by_side(tmp_path, mark, first_line):
    blocks = [("a", "S2p", spectrum_of(0)), ("b", "S2p", spectrum_of(1, 18))]
    path = tmp_path / ("a.txt" if mark == "\t" else "a.csv")
    path.write_bytes(beside(blocks, mark, first_line).encode())
    assert formats.identify(path).name == "casaxps_txt"
    regions = formats.read(path)
    assert list(regions) == ["S 2p (a)", "S 2p (b)"]
    for ds, (_, _, data) in zip(regions.values(), blocks, strict=True):
        check(ds, data)
        assert ("uncertainty" in ds) == first_line  # whole counts over a stated time
        listed = json.loads(ds.attrs["casaxps_components"])
        assert [p["Position"] for p in listed] == ["160.2", "161.6"]


def test_cut_files_are_refused(tmp_path):
    blocks = [("a", "S2p", spectrum_of(0))]
    for k, whole in enumerate((below(blocks, ","), beside(blocks, ","))):
        path = tmp_path / f"{k}.csv"
        path.write_bytes(whole.encode()[: int(0.9 * len(whole))].rpartition(b",")[0])
        with pytest.raises(FormatError, match="truncated"):
            formats.read(path, format="casaxps_txt")


def report(region, data, path="z:\\data\\sample116.vms"):
    """Write the table that github.com/Yohko/importtool keeps as samples/CasaXPS_report.TXT."""
    be, counts, one, two = data
    heads = ["KE", "BE", "CPS", "Si 2p_1", "Si 2p_2", "Background", "Envelope"]
    rows = [[path], [region], ["", "Characteristic Energy eV", PHOTON, "Acquisition Time s", 2.5]]
    rows.append([f"{h}_{region}" for h in heads])
    for k in range(be.size):  # the kinetic energies are rounded: two may be equal
        curves = [f"{v:.6g}" for v in (counts[k] / 2.5, one[k], two[k], 90.0, one[k])]
        rows.append([f"{PHOTON - be[k]:.1f}", f"{be[k]:.6g}", *curves])
    return text(rows, "\t")


def test_reports_with_kinetic_and_binding_energies(tmp_path):
    first, second = spectrum_of(1), spectrum_of(2, start=110.0)
    path = tmp_path / "a.TXT"
    path.write_text(report("S 2p", first) + report("Si 2p", second), newline="")
    assert formats.identify(path).name == "casaxps_txt"
    regions = formats.read(path)
    assert list(regions) == ["S 2p", "Si 2p"]
    for ds, (be, counts, one, _) in zip(regions.values(), (first, second), strict=True):
        np.testing.assert_allclose(ds["binding_energy"].values[::-1], be, atol=1e-4)
        np.testing.assert_allclose(ds["intensity"].values[::-1], counts / 2.5, rtol=1e-5)
        np.testing.assert_allclose(ds["reported_components"].values[0, ::-1], one, rtol=1e-5)
        assert [c["Name"] for c in json.loads(ds.attrs["casaxps_components"])][1] == "Si 2p_2"
        assert ds.attrs["sample"] == "sample116"
        assert "uncertainty" in ds
    path.write_text(report("S 2p", first).replace("BE_", "XX_"), newline="")
    with pytest.raises(FormatError, match="BE_"):
        formats.read(path, format="casaxps_txt")

"""VAMAS files of every experiment mode, written in the order of ISO 14976, and odd dialects."""

from __future__ import annotations

import numpy as np
import pytest

from spectra import formats
from spectra.errors import FormatError

PHOTON = 1486.6
UNKNOWN = "1E+37"
MAPS = ("MAP", "MAPDP")
SPUTTERED = ("MAPDP", "MAPSVDP", "SDP", "SDPSV")
LINES = ("MAPSV", "MAPSVDP", "SEM")
MODES = ("MAP", "MAPDP", "MAPSV", "MAPSVDP", "NORM", "SDP", "SDPSV", "SEM", "NOEXP")


def block(
    y,
    *,
    mode="NORM",
    scan="REGULAR",
    start=1320.0,
    step=0.1,
    label="kinetic energy",
    species="S",
    transition="2p",
    sample="cell 7",
    name="S 2p/1",
    technique="XPS",
    variables=(),
    more=(),
    upgrades=0,
    unit="d",
    comments=("one", "two"),
):
    """Return the lines of a block; ``more`` are further ordinates (label, unit, values)."""
    lines = [name, sample, 2026, 11, 23, 10, 0, 0, 1, len(comments), *comments, technique]
    lines += [12, 34] if mode in MAPS else []
    lines += [*variables, "Al Ka"]
    lines += [18, 1, 1] if mode in SPUTTERED else []
    lines += [PHOTON, 225, UNKNOWN, UNKNOWN]
    lines += [300, 300] if mode in (*MAPS, *LINES) else []
    lines += [0, 0, 99, 0, 99, 99] if mode in LINES else []
    lines += [54.7, 0, "FAT", 20, 1, 4.5, 0, UNKNOWN, UNKNOWN, 0, 0, species, transition, -1]
    columns = [("Intensity", unit, y), *more]
    if scan == "REGULAR":
        lines += [label, "eV", start, step]
    else:
        columns.insert(0, (label, "eV", start + step * np.arange(len(y))))
    lines += [len(columns)]
    for title, units, _ in columns:
        lines += [title, units]
    lines += ["pulse counting", 0.2, 5, 0]
    lines += ["Ar+", 2000, 1, 100, 100, 45, 0] if mode in SPUTTERED else []
    lines += [0, 0, 0, 1, "Detector", "V", 2400, *(["later"] * upgrades)]
    table = np.stack([np.asarray(v, dtype=float) for _, _, v in columns], axis=1)
    lines += [table.size]
    for column in table.T:
        lines += [column.min(), column.max()]
    return [*lines, *(f"{v:.10g}" for v in table.ravel())]


def vamas(path, blocks, *, mode="NORM", scan="REGULAR", variables=(), upgrades=0, ending="\r\n"):
    head = [
        "VAMAS Surface Chemical Analysis Standard Data Transfer Format 1988 May 4",
        "institute", "instrument", "operator", "experiment", 1, "comment", mode, scan,
    ]  # fmt: skip
    head += [1] if mode in (*MAPS, "NORM", "SDP") else []
    head += [1, 1, 1] if mode in MAPS else []
    head += [len(variables), *(w for pair in variables for w in pair)]
    head += [0, 1, "item", 1, upgrades, "later", len(blocks)]
    lines = [*head, *(line for one in blocks for line in one), "end of experiment"]
    path.write_bytes((ending.join(map(str, lines)) + ending).encode("latin-1"))
    return path


def counts(n=40, seed=0):
    return np.random.default_rng(seed).poisson(500.0, n)


@pytest.mark.parametrize("scan", ["REGULAR", "IRREGULAR"])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_and_scan(tmp_path, mode, scan):
    y = counts()
    path = vamas(tmp_path / "a.vms", [block(y, mode=mode, scan=scan)], mode=mode, scan=scan)
    (name, ds), *rest = formats.read(path).items()
    assert (name, rest) == ("S 2p", [])
    np.testing.assert_array_equal(ds["intensity"].values[::-1], y)
    assert ds["intensity"].dtype.kind == "i"
    x = PHOTON - 1320.0 - 0.1 * np.arange(40)
    np.testing.assert_allclose(ds["binding_energy"].values[::-1], x, atol=1e-6)
    assert ds.attrs["pass_energy_eV"] == 20.0
    assert (ds.attrs["dwell_time_s"], ds.attrs["sweeps"]) == (0.2, 5)
    assert ds.attrs["measured"].startswith("2026-11-23T10:00")


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("before", ["", "\r\n\r\n"])
def test_line_endings_and_blank_lines_before(tmp_path, ending, before):
    path = vamas(tmp_path / "a.vms", [block(counts())], ending=ending)
    path.write_bytes(before.encode() + path.read_bytes())
    assert formats.identify(path).name == "iso_vamas"
    np.testing.assert_array_equal(formats.read(path)["S 2p"]["intensity"].values[::-1], counts())


@pytest.mark.parametrize("step", [0.1, -0.1])
@pytest.mark.parametrize("label", ["kinetic energy", "Kinetic Energy", "binding energy"])
def test_axes_up_and_down_kinetic_and_binding(tmp_path, step, label):
    y = counts()
    start = 160.0 if "binding" in label else 1320.0
    path = vamas(tmp_path / "a.npl", [block(y, start=start, step=step, label=label)])
    ds = formats.read(path)["S 2p"]
    first = start if "binding" in label else PHOTON - start
    np.testing.assert_array_equal(ds["intensity"].sel(binding_energy=first, method="nearest"), y[0])
    assert np.all(np.diff(ds["binding_energy"]) > 0)


def test_several_corresponding_variables(tmp_path):
    y = counts()
    more = [("Transmission", "d", np.linspace(1.0, 2.0, 40)), ("Drain current", "A", np.ones(40))]
    for scan in ("REGULAR", "IRREGULAR"):
        path = vamas(tmp_path / f"{scan}.vms", [block(y, scan=scan, more=more)], scan=scan)
        ds = formats.read(path)["S 2p"]
        np.testing.assert_array_equal(ds["intensity"].values[::-1], y)
        np.testing.assert_allclose(ds["transmission"].values[::-1], np.linspace(1.0, 2.0, 40))


def test_etch_times_angles_and_repeats(tmp_path):
    for text, dim in (("Etch Time", "etch_time"), ("Sample tilt angle", "angle")):
        blocks = [block(counts(seed=k), variables=[10 * k]) for k in (2, 0, 1)]
        path = vamas(tmp_path / "a.vms", blocks, variables=[(text, "s")])
        ds = formats.read(path)["S 2p"]
        np.testing.assert_allclose(ds[dim], [0, 10, 20])
        for k in range(3):
            np.testing.assert_array_equal(ds["intensity"].values[k, ::-1], counts(seed=k))
    path = vamas(tmp_path / "b.vms", [block(counts(seed=k)) for k in range(3)])
    assert list(formats.read(path)) == ["S 2p", "S 2p #2", "S 2p #3"]


@pytest.mark.parametrize("nothing", ["", "None", "Not Specified", "unspecified"])
def test_blank_labels_are_named_by_their_energies(tmp_path, nothing):
    blank = {"species": nothing, "transition": "", "sample": nothing, "name": nothing}
    path = vamas(
        tmp_path / "a.vms", [block(counts(), **blank), block(counts(), start=1190.0, **blank)]
    )
    names = list(formats.read(path))
    assert names == ["region 1 (163 to 167 eV)", "region 2 (293 to 297 eV)"]
    assert all("sample" not in ds.attrs for ds in formats.read(path).values())


def test_other_techniques_samples_and_upgrades(tmp_path):
    blocks = [
        block(counts(), upgrades=2),
        block(counts(), upgrades=2, sample="cell 8"),
        block(counts(), upgrades=2, technique="UPS", species="VB", transition=""),
        block(counts(), upgrades=2, technique="EDX"),
    ]
    regions = formats.read(vamas(tmp_path / "a.vms", blocks, upgrades=2))
    assert list(regions) == ["S 2p (cell 7)", "S 2p (cell 8)", "UPS VB (cell 7)"]
    with pytest.raises(FormatError, match="no XPS or UPS block"):
        formats.read(vamas(tmp_path / "b.vms", [block(counts(), technique="EDX")]))


def test_decimal_commas_padding_and_rates(tmp_path):
    path = vamas(tmp_path / "a.vms", [block(counts() / 5.0, unit="c/s", species="S\0\0")])
    text = path.read_text(encoding="latin-1")
    path.write_text(text.replace(".", ","), encoding="latin-1")
    ds = formats.read(path)["S 2p"]
    assert ds["intensity"].attrs["units"] == "counts/s"
    np.testing.assert_allclose(ds["intensity"].values[::-1], counts() / 5.0)
    assert "uncertainty" not in ds  # 0.2 s and 5 scans: not whole counts
    assert ds.attrs["photon_energy_eV"] == PHOTON


def lengths(mode, scan, columns, variables, comments=2):
    """Return how many lines each of the 40 parts of a block has (Dench et al. 1988, table 2)."""
    mapped, lines, sputtered = mode in MAPS, mode in LINES, mode in SPUTTERED
    return [
        1, 1, 1, 1, 1, 1, 1, 1 + comments, 1, 2 * mapped, variables, 1, 3 * sputtered, 1, 1, 2,
        2 * (mapped or lines), 6 * lines, 1, 1, 1, 1, 0, 1, 1, 1, 2, 2, 1, 2,
        4 * (scan == "REGULAR"), 1 + 2 * columns, 1, 1, 1, 1, 7 * sputtered, 2, 1, 4,
    ]  # fmt: skip


def without(lines, left_out, parts):
    """Leave numbered parts out of a block's lines; its two names and its data stay."""
    kept, at = list(lines[:2]), 2
    for number, length in enumerate(parts, 1):
        kept += [] if number in left_out else lines[at : at + length]
        at += length
    return kept + list(lines[at:])


@pytest.mark.parametrize("excluded", [True, False])
@pytest.mark.parametrize("scan", ["REGULAR", "IRREGULAR"])
@pytest.mark.parametrize("mode", MODES)
def test_parts_that_stand_in_the_first_block_alone(tmp_path, mode, scan, excluded):
    rng = np.random.default_rng(5)
    told = {"mode": mode, "scan": scan, "variables": (7.5,)}
    blocks = [
        block(counts(), **told),
        block(rng.poisson(90.0, 41), name="P 2p/2", species="P", start=1350.0, **told),
        block(rng.poisson(60.0, 41), name="Li 1s/3", species="Li", transition="1s", **told),
    ]
    whole = vamas(tmp_path / "whole.vms", blocks, mode=mode, scan=scan, variables=[("tilt", "d")])
    differ = {9, 29, 30, 31, 8}
    left_out = set(range(1, 41)) - differ
    parts = lengths(mode, scan, 1 + (scan == "IRREGULAR"), 1)
    short = vamas(
        tmp_path / "short.vms",
        [blocks[0], *(without(b, left_out, parts) for b in blocks[1:])],
        mode=mode, scan=scan, variables=[("tilt", "d")],
    )  # fmt: skip
    lines = short.read_text(encoding="latin-1").split("\n")
    at = next(i for i, line in enumerate(lines) if line.strip() == "item") - 2
    assert lines[at].strip() == "0"
    listed = sorted(left_out) if excluded else sorted(differ)
    lines[at : at + 1] = [str(-len(listed) if excluded else len(listed)), *map(str, listed)]
    short.write_text("\n".join(lines), encoding="latin-1")
    ours, theirs = formats.read(short), formats.read(whole)
    assert list(ours) == list(theirs) == ["S 2p", "P 2p", "Li 1s"]
    for name, ds in theirs.items():
        np.testing.assert_array_equal(ours[name]["intensity"], ds["intensity"])
        np.testing.assert_array_equal(ours[name]["binding_energy"], ds["binding_energy"])
        same = set(ds.attrs) - {"source", "history"}  # these name the file
        assert {k: ours[name].attrs[k] for k in same} == {k: ds.attrs[k] for k in same}


@pytest.mark.parametrize(
    ("said", "match"), [("2.5", "whole numbers"), ("41", "from -40 to 40"), ("1\n41", "0 to 40")]
)
def test_a_wrong_list_of_parts_is_said(tmp_path, said, match):
    path = vamas(tmp_path / "a.vms", [block(counts())])
    lines = path.read_text(encoding="latin-1").split("\n")
    lines[lines.index("REGULAR") + 3] = said  # regions, variables, then the list
    path.write_text("\n".join(lines), encoding="latin-1")
    with pytest.raises(FormatError, match=match):
        formats.read(path)


def test_a_cut_file_is_said(tmp_path):
    cut = vamas(tmp_path / "b.vms", [block(counts())])
    cut.write_bytes(cut.read_bytes()[:-120])
    with pytest.raises(FormatError, match="truncated"):
        formats.read(cut)


def test_rates_of_whole_counts_carry_the_counting_error(tmp_path):
    y = counts()
    path = vamas(tmp_path / "a.vms", [block(y / 1.0, unit="c/s")])  # 0.2 s, 5 scans: 1 s
    ds = formats.read(path)["S 2p"]
    assert ds["intensity"].attrs["units"] == "counts/s"
    np.testing.assert_allclose(ds["uncertainty"].values[::-1], np.sqrt(y))

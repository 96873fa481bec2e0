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


def test_what_shortens_blocks_is_refused_in_words(tmp_path):
    path = vamas(tmp_path / "a.vms", [block(counts())])
    lines = path.read_text(encoding="latin-1").split("\n")
    at = lines.index("REGULAR") + 3  # regions, variables, then the list
    lines[at] = "2"
    path.write_text("\n".join(lines), encoding="latin-1")
    with pytest.raises(FormatError, match="inclusion or exclusion"):
        formats.read(path)
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

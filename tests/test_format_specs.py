"""SPECS text exports of both programs: energies by what the header says, other inputs left out."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spectra import formats
from spectra.errors import FormatError

PHOTON = 1400.0


def specslab(path, *, kinetic="yes", rate="yes", columns="energy counts/s", tables=None, **changed):
    """Write an export of SpecsLab2; ``tables`` are (line that heads it, rows)."""
    values = {"Region": "S 2p", "Number of Scans": 5, "Values/Curve": 30, "Dwell Time": 0.1,
              "Excitation Energy": PHOTON, "Pass Energy": 20, **changed}  # fmt: skip
    lines = [
        "# Created by:        SpecsLab2, Version 2.77-r27212", "# ",
        "# XY-Serializer Export Settings: as follows", "#   Comment Prefix:           #",
        f"#   Counts Per Second:        {rate}", f"#   Kinetic Energy Axis:      {kinetic}",
        "# ", "# Group:             cell 7", "#",
        f"# values in {'kinetic' if kinetic == 'yes' else 'binding'} energy",
        *(f"# {key + ':':18s} {value}" for key, value in values.items()),
        "# Comment:           ", "#", "# Cycle: 0", "#",
    ]  # fmt: skip
    for head, rows in tables or [("# Cycle: 0, Curve: 0", table(kinetic))]:
        lines += [head, "#", f"# ColumnLabels: {columns}", "#"]
        lines += ["  ".join(f"{v:.6g}" for v in row) for row in rows] + [""]
    path.write_text("\n".join(lines) + "\n")
    return path


def table(kinetic="yes", seed=0, scale=1.0):
    x = 1230.0 + 0.1 * np.arange(30) if kinetic == "yes" else 170.0 - 0.1 * np.arange(30)
    return np.stack([x, scale * np.random.default_rng(seed).poisson(300.0, 30)], axis=1)


@pytest.mark.parametrize("kinetic", ["yes", "no"])
def test_energies_by_what_the_header_says(tmp_path, kinetic):
    rows = table(kinetic, scale=2.0)  # whole counts in the 0.5 s
    path = specslab(tmp_path / "a.xy", kinetic=kinetic, tables=[("# Cycle: 0, Curve: 0", rows)])
    ds = formats.read(path)["S 2p"]
    np.testing.assert_allclose(ds["binding_energy"].values[[0, -1]], [167.1, 170.0], atol=1e-6)
    order = slice(None, None, -1)
    np.testing.assert_array_equal(ds["intensity"].values[order], rows[:, 1])
    assert ds["intensity"].attrs["units"] == "counts/s"
    assert ds.attrs["sample"] == "cell 7"
    sigma = np.sqrt(ds["intensity"].values * 0.5) / 0.5
    np.testing.assert_allclose(ds["uncertainty"].values, sigma)


def test_third_columns_by_their_names(tmp_path):
    rows = np.column_stack([table(), np.linspace(2.0, 2.4, 30)])
    one = specslab(tmp_path / "a.xy", columns="energy counts/s transmission",
                   tables=[("# Cycle: 0, Curve: 0", rows)])  # fmt: skip
    assert formats.read(one)["S 2p"]["transmission"].values[-1] == pytest.approx(2.0)
    two = specslab(tmp_path / "b.xy", columns="energy counts/s scaling",
                   tables=[("# Cycle: 0, Curve: 0", rows)])  # fmt: skip
    assert "transmission" not in formats.read(two)["S 2p"]


def test_counts_scans_channels_and_other_inputs(tmp_path):
    tables = [(f"# Cycle: 0, Curve: 0, Scan: {k}", table(seed=k)) for k in range(3)]
    other = ("# External Channel Data Cycle: 0, Curve: 0 (drain)", table(seed=9)[:, :2])
    path = specslab(tmp_path / "a.xy", rate="no", columns="energy counts", tables=[*tables, other])
    ds = formats.read(path)["S 2p"]
    assert ds["intensity"].dims == ("scan", "binding_energy")
    assert ds["intensity"].dtype.kind == "i"
    for k in range(3):
        np.testing.assert_array_equal(ds["intensity"].values[k, ::-1], table(seed=k)[:, 1])
    parts = [(f"# Cycle: 0, Curve: 0, Scan: 0, Channel: {k}", table(seed=k)) for k in range(4)]
    ds = formats.read(
        specslab(tmp_path / "b.xy", rate="no", columns="energy counts", tables=parts)
    )["S 2p"]
    whole = sum(table(seed=k)[:, 1] for k in range(4))
    np.testing.assert_array_equal(ds["intensity"].values[::-1], whole)
    parts[1][1][:, 0] += 0.5
    with pytest.raises(FormatError, match="energies of their own"):
        formats.read(specslab(tmp_path / "c.xy", tables=parts))


def test_kinetic_energies_need_the_photon_energy(tmp_path):
    with pytest.raises(FormatError, match="no excitation energy"):
        formats.read(specslab(tmp_path / "a.xy", **{"Excitation Energy": 0}))
    with pytest.raises(FormatError, match="not a number"):
        formats.read(specslab(tmp_path / "b.xy", **{"Dwell Time": "long"}))


def test_snapshots_have_a_row_per_channel_and_loops_their_parameters(tmp_path):
    # github.com/Yohko/importtool, samples/SpecsLab2xyonly_SFAT.xy: Scan Mode Snapshot (FAT),
    # Values/Curve 8 and some 800 rows; Prodigy 4.137 writes loops with '# Parameter' lines.
    rows = table()
    one = [("# Cycle: 0, Curve: 0", rows)]
    path = specslab(tmp_path / "a.xy", tables=one, **{"Values/Curve": 8})
    np.testing.assert_array_equal(formats.read(path)["S 2p"]["intensity"].values[::-1], rows[:, 1])
    loop = [
        (
            f'# Cycle: {k}\n# Parameter: "Step" = {k + 1}\n# Parameter: "Z [mm]" = {-2.1 + k}\n'
            f"# Cycle: {k}, Curve: 0, Channel: 0",
            table(seed=k),
        )
        for k in range(2)
    ]
    ds = formats.read(specslab(tmp_path / "b.xy", tables=loop))["S 2p"]
    assert ds["intensity"].dims == ("cycle", "binding_energy")
    assert json.loads(ds.attrs["parameters"]) == {"Step": ["1", "2"], "Z [mm]": ["-2.1", "-1.1"]}
    loop[1][1][:, 0] += 0.5
    with pytest.raises(FormatError, match="energies of their own"):
        formats.read(specslab(tmp_path / "c.xy", tables=loop))

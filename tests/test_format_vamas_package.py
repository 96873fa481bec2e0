"""VAMAS files against a second program: the package vamas, where it can read them."""

from __future__ import annotations

import numpy as np
import pytest

from spectra import formats
from tests.shared_data import data

READABLE = {
    "thermo/Pt4f.vms": 1,
    "vamas/kratos_arxps_al_foil.vms": 15,
    "vamas/kratos_axis_map_mode_s2p.vms": 7,
    "vamas/kratos_ws2_mos2_casaxps.vms": 54,
    "vamas/omicron_eis_unnamed_blocks.vms": 4,
    "vamas/specs_mn_oxide_references.vms": 3,
    "vamas/specs_prodigy_regular.vms": 1,
}
"""It refuses IRREGULAR scans, blank lines before the identifier and endings other than .vms."""


@pytest.mark.parametrize("name", READABLE)
def test_every_block_has_the_counts_and_energies_the_package_reads(name):
    vamas = pytest.importorskip("vamas", reason="the package vamas is not installed")
    path = data(f"xps/{name}")
    blocks = vamas.Vamas(str(path)).blocks
    assert len(blocks) == READABLE[name]
    ours = []
    for ds in formats.read(path).values():
        energy = ds["binding_energy"].values
        photon = float(ds.attrs.get("photon_energy_eV", 0.0))
        rows = ds["intensity"].values.reshape(-1, energy.size)
        ours += [(energy, photon, row) for row in rows]
    for block in blocks:
        y = np.array(block.corresponding_variables[0].y_values, dtype=float)
        x = block.x_start + block.x_step * np.arange(y.size)
        if "kinetic" in block.x_label.casefold():
            x = float(block.analysis_source_characteristic_energy) - x
        order = np.argsort(x)
        same = [
            energy for energy, _, row in ours
            if row.size == y.size and np.array_equal(row, y[order])
            and np.allclose(energy, x[order], atol=1e-6)
        ]  # fmt: skip
        assert same, f"{block.block_identifier}: no region with its counts and energies"

"""Headers and values of XPS files with numbers that are none: errors in words, nothing else."""

from __future__ import annotations

import re

import numpy as np
import pytest

from spectra import formats
from tests.contracts import format_contract as contract
from tests.shared_data import data

NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")
ODD = ("x", "", "1,5", "-5", "0", "1e999", "nan", "999999999999", "2.5", "\0")
FILES = [
    "vamas/phi_multipak_C_O_S_N_Mo.npl",
    "casaxps_csv_tfsi/20240228_Au_MPPipTFSIIol3_S_2p.csv",
    "phi/BN-BS-1/BN-BS-1 SURVEY.spe",
    "phi/SnO2_10nm.spe",
    "phi/BN-BS-1/BN-BS-1 SURVEY.txt",
    "scienta/Ag_0001.txt",
    "scienta/Ag_0001Ag__001.ibw",
    "specs/MgFe2O4_small.xy",
    "specs/In-situ_PBTTT_XPS_SPECS.xml",
    "thermo/Pt4f.json",
    "ascii/PET_C1s.csv",
]


@pytest.mark.parametrize("name", FILES)
def test_a_number_that_is_none(name, tmp_path):
    path = data(f"xps/{name}")
    record = formats.identify(path)
    text = path.read_bytes().decode("latin-1")
    spots = list(NUMBER.finditer(text[:9000]))
    rng = np.random.default_rng(len(text))
    for k in rng.integers(0, len(spots), 25):
        spot, odd = spots[k], ODD[rng.integers(len(ODD))]
        damaged = tmp_path / path.name
        damaged.write_bytes((text[: spot.start()] + odd + text[spot.end() :]).encode("latin-1"))
        contract.damage_is_an_error_in_words(record, damaged)

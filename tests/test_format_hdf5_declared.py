"""HDF5 without a known layout: the message tells what to declare; powder patterns in NXdata."""

from __future__ import annotations

import re

import h5py
import numpy as np
import pytest

from spectra import formats
from spectra.convention import check
from spectra.errors import FormatError
from spectra.formats.registry import identify

RNG = np.random.default_rng(4)


def one(path):
    (ds,) = formats.read(path).values()
    return check(ds)


def filled(path, **arrays):
    with h5py.File(path, "w") as file:
        for place, values in arrays.items():
            file[place.replace("__", "/")] = values


def told(path):
    with pytest.raises(FormatError) as caught:
        formats.read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


CUBES = {
    "map": ({"entry__frames": RNG.poisson(3, (5, 7, 600)), "entry__x": np.arange(7.0),
             "scan__t": np.arange(5.0)}, {"time": 5, "position": 7, "channel": 600}),
    "line": ({"frames": RNG.poisson(3, (1, 9, 300)).astype("u4")},
             {"time": 1, "position": 9, "channel": 300}),
    "scan": ({"a b/c": RNG.poisson(3, (6, 100)), "sam-z": np.arange(6.0)},
             {"position": 6, "channel": 100}),
    "single": ({"frames": RNG.poisson(3, 2000)}, {"channel": 2000}),
    "pattern": ({"r__I": RNG.random((4, 350)), "r__2th": np.linspace(1.0, 30.0, 350)},
                {"position": 4, "two_theta": 350}),
    "in q": ({"r__I": RNG.random((4, 350)), "r__q": np.linspace(0.3, 9.0, 350)},
             {"position": 4, "two_theta": 350}),
}  # fmt: skip


@pytest.mark.parametrize("name", CUBES)
def test_what_the_message_suggests_can_be_saved_and_read(name, tmp_path):
    arrays, sizes = CUBES[name]
    path = tmp_path / "bare.h5"
    filled(path, **arrays)
    message = told(path)
    for place, values in arrays.items():
        shape = "x".join(map(str, np.shape(values)))
        assert f"/{place.replace('__', '/')} {shape}" in message
    example = re.search(r"such as (\{.*\})$", message)
    assert example is not None
    assert "bare.map.yaml" in message
    (tmp_path / "bare.map.yaml").write_text(example[1])
    ds = one(path)
    assert dict(ds.sizes) == sizes
    largest = max(arrays.values(), key=np.size)
    assert np.array_equal(ds["intensity"].values, largest)
    assert "calibration" not in ds.attrs or ds.attrs["technique"] == "xrd"


def test_files_without_arrays_and_with_very_many(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_group("a")["text"] = "only words"
    assert "without any array" in told(path)
    filled(path, **{f"g__d{k}": np.arange(5) for k in range(300)})
    assert len(told(path)) < 700
    path.write_bytes(path.read_bytes()[:1000])
    assert "cannot be opened" in told(path)


def test_links_to_other_files_are_not_followed(tmp_path):
    other, path = tmp_path / "other.h5", tmp_path / "x.h5"
    filled(other, I=RNG.random(50), tth=np.linspace(1, 9, 50))
    with h5py.File(path, "w") as file:
        group = file.create_group("data")
        group.attrs.update(NX_class="NXdata", signal="I", axes=["tth"])
        group["I"] = h5py.ExternalLink(str(other), "/I")
        group["tth"] = h5py.ExternalLink(str(other), "/tth")
    assert "without any array" in told(path)


def test_live_times_of_a_declared_map_fit_or_are_refused(tmp_path):
    path, side = tmp_path / "x.h5", tmp_path / "x.map.yaml"
    filled(path, c=RNG.poisson(9, (3, 4, 64)), each=np.full((3, 4), 2.0), some=np.full(4, 2.0),
           wrong=np.full(3, 2.0))  # fmt: skip
    for name, good in (("each", True), ("some", True), ("wrong", False)):
        side.write_text(f"{{counts: /c, dims: [time, position], live_time: /{name}}}")
        if good:
            assert one(path)["live_time"].shape == (3, 4)
        else:
            assert "(3, 4)" in told(path)


# -- patterns --------------------------------------------------------------------------------------


def integrated(path, axis, units, values, *, outer=(), entry=(), signal="intensity", unit="units"):
    """Write what azimuthal integration does: one NXdata in one NXentry."""
    with h5py.File(path, "w") as file:
        top = file.create_group("entry")
        top.attrs["NX_class"] = "NXentry"
        group = top.create_group("integrate/integrated")
        group.attrs.update(NX_class="NXdata", signal=signal, axes=[*(n for n, *_ in outer), axis])
        group[axis] = values
        if units:
            group[axis].attrs[unit] = units
        shape = (*(n for _, n, *_ in outer), len(values))
        group[signal] = RNG.random(shape) + 1.0
        for name, size, *more in outer:
            if name != ".":
                group[name] = np.arange(float(size))
                group[name].attrs["units"] = more[0] if more else ""
        for place, value, told_units in entry:
            top[place] = value
            top[place].attrs["units"] = told_units
    return path


ANGLES = np.linspace(2.0, 25.0, 240)
WAVE = 0.1823
Q = 4 * np.pi / WAVE * np.sin(np.radians(ANGLES / 2))
KINDS = [
    ("2th", "deg", ANGLES, "units"), ("tth", "degree", ANGLES, "units"),
    ("two_theta", "", ANGLES, "units"), ("polar_angle", "degrees", ANGLES, "units"),
    ("2th", "rad", np.radians(ANGLES), "units"), ("2th_deg", "", ANGLES, "units"),
    ("radial", "2th_deg", ANGLES, "unit"), ("q", "q_nm^-1", 10 * Q, "unit"),
    ("q", "A^-1", Q, "units"), ("q", "1/angstrom", Q, "units"), ("q", "nm^-1", 10 * Q, "units"),
    ("radial_axis", "1/nm", 10 * Q, "units"), ("q", "q_A^-1", Q, "unit"),
    ("q_A^-1", "", Q, "units"),
    ("q", "Å^-1", Q, "units"), ("q", "1/Å", Q, "units"),
]  # fmt: skip


@pytest.mark.parametrize(("axis", "units", "values", "unit"), KINDS)
@pytest.mark.parametrize(
    "wave", [("wavelength", 1e-10 * WAVE, "m"), ("energy", 12.398419843e3 / WAVE, "eV")]
)
def test_angles_and_momentum_transfers_become_two_theta(tmp_path, axis, units, values, unit, wave):
    path = integrated(tmp_path / "x.h5", axis, units, values, entry=[wave], unit=unit)
    assert identify(path).name == "nexus_powder"
    ds = one(path)
    assert np.allclose(ds["two_theta"], ANGLES, atol=1e-5)
    assert ds.attrs["wavelength_A"] == pytest.approx(WAVE, rel=1e-6)


def test_a_series_of_an_operando_cell(tmp_path):
    outer = [("t", 6, "min")]
    path = integrated(tmp_path / "x.h5", "2th", "deg", ANGLES, outer=outer)
    with h5py.File(path, "a") as file:
        group = file["entry/integrate/integrated"]
        group["intensity"][2, 5] = np.nan
        group["errors"] = np.full((6, 240), 0.1)
    ds = one(path)
    assert ds["intensity"].dims == ("time", "two_theta")
    assert np.allclose(ds["time"], 60.0 * np.arange(6))
    assert int((~ds["valid"]).sum()) == 1
    assert float(ds["uncertainty"].max()) == 1.0  # of the bin without a value
    assert "wavelength_A" not in ds.attrs


def test_a_map_over_motors_of_the_beamline(tmp_path):
    outer = [("samy", 3, "mm"), (".", 4)]
    ds = one(integrated(tmp_path / "x.h5", "2th", "deg", ANGLES, outer=outer))
    assert ds["intensity"].dims == ("scan", "point", "two_theta")
    assert ds["axis_samy"].attrs["units"] == "mm"


def test_what_cannot_be_known_is_asked(tmp_path):
    path = integrated(tmp_path / "x.h5", "q", "", Q)
    assert "unit" in told(path)
    path = integrated(tmp_path / "x.h5", "q", "1/nm", 10 * Q)
    assert "no wavelength" in told(path)
    (tmp_path / "x.map.yaml").write_text(
        "counts: /entry/integrate/integrated/intensity\n"
        "q_axis: /entry/integrate/integrated/q\nwavelength_A: 0.01823\n"
    )
    assert np.allclose(one(path)["two_theta"], ANGLES, atol=1e-5)
    path = integrated(
        tmp_path / "x.h5", "q", "1/A", 100 * Q, entry=[("wavelength", WAVE, "angstrom")]
    )
    (tmp_path / "x.map.yaml").unlink()
    assert "beyond a wavelength" in told(path)


def test_cakes_are_no_patterns(tmp_path):
    outer = [("chi", 36, "deg")]
    path = integrated(tmp_path / "x.h5", "2th", "deg", ANGLES, outer=outer)
    assert "no layout known here" in told(path)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_cut_files_are_errors_in_words(tmp_path, share):
    path = integrated(tmp_path / "x.h5", "2th", "deg", ANGLES, outer=[("t", 60, "s")])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    told(path)
    with pytest.raises(FormatError):
        formats.read(path, format="nexus_powder")


def test_an_angle_axis_that_turns_back(tmp_path):
    path = integrated(tmp_path / "x.h5", "2th", "deg", np.r_[ANGLES[:-1], 3.0])
    assert "must rise" in told(path)


def test_damaged_bytes_are_errors_in_words(tmp_path):
    path = integrated(tmp_path / "x.h5", "q", "1/nm", 10 * Q, outer=[("t", 4, "s")],
                      entry=[("wavelength", WAVE, "angstrom")])  # fmt: skip
    whole = path.read_bytes()
    rng = np.random.default_rng(8)
    read, said = 0, []
    for number in range(120):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 8):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        try:
            regions = formats.read(path, format=("nexus_powder", None)[number % 2])
        except FormatError as error:
            said.append(str(error))
        else:
            read += 1
            for ds in regions.values():
                check(ds)
    assert read > 0
    assert said
    assert not any("\n" in message for message in said)

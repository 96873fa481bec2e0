"""Cyclers, loggers and impedance programs: units, signs, clocks and the testers' own answers."""

from __future__ import annotations

import csv
from datetime import datetime

import numpy as np
import pytest

from spectra.errors import FormatError
from spectra.formats.registry import identify, read
from spectra.techniques.cycling import capacities, charge_passed, incremental_capacity
from tests.shared_data import data

CYCLERS = "echem/cyclers"
EIS = "echem/eis_with_published_fits"


def cell(name):
    (ds,) = read(data(f"{CYCLERS}/{name}")).values()
    return ds


@pytest.mark.parametrize("name", ["arbin_example.res", "arbin_example.bdf.csv"])
def test_arbin_capacities_by_cycle_are_those_of_the_tester(name):
    # README of the data: charge / discharge in mAh of four full cycles
    known = [(0.484, 0.475), (0.477, 0.474), (0.476, 0.474), (0.476, 0.474)]
    ds = cell(name)
    assert ds.sizes["time"] == 2150
    assert float(ds.voltage.min()) == pytest.approx(3.000, abs=1e-3)
    assert float(ds.voltage.max()) == pytest.approx(4.300, abs=1e-3)
    assert float(np.abs(ds.current).max()) == pytest.approx(0.0866, abs=1e-4)
    table = capacities(ds)
    for cycle, (charge, discharge) in enumerate(known, 1):
        row = table.sel(cycle=cycle)
        assert float(row.charge) == pytest.approx(charge, abs=6e-4)
        assert float(row.discharge) == pytest.approx(discharge, abs=6e-4)
    assert ds.attrs["start"].startswith("2023-07-24T18:49:59")


def test_arbin_database_and_battery_data_format_are_one_test():
    pytest.importorskip("access_parser")
    database, table = cell("arbin_example.res"), cell("arbin_example.bdf.csv")
    for key in ("voltage", "current", "capacity", "cycle", "step"):
        np.testing.assert_allclose(database[key], table[key], rtol=2e-6, atol=1e-6, err_msg=key)
    np.testing.assert_allclose(database.time, table.time, rtol=1e-9)


def test_arbin_counters_follow_from_current_and_time():
    ds = cell("arbin_example.bdf.csv")
    passed = charge_passed(ds).values
    assert np.abs(passed - ds.capacity.values).max() < 0.003 * float(ds.capacity.max())


def test_arbin_workbook():
    ds = cell("arbin_gr_li_channel_11.xlsx")
    assert ds.sizes["time"] == 4526
    steady = np.abs(ds.current.values[np.abs(ds.current.values) > 0.01])
    assert np.median(steady) == pytest.approx(0.050, abs=1e-4)  # file name: 50 uA
    assert float(ds.voltage.min()) == pytest.approx(0.050, abs=1e-3)  # 50 mV
    assert ds.attrs["channel"] == "11"
    assert ds.attrs["start"] == "2020-10-19T11:31:45.581"


def test_neware_layers_reproduce_the_cycle_lines():
    path = data(f"{CYCLERS}/neware_nested_export_with_temperature.csv")
    with path.open(encoding="latin-1") as stream:
        lines = [row for row in csv.reader(stream) if row and row[0].isdigit()]
    table = capacities(read(path)["cell"])
    assert table.sizes["cycle"] == len(lines) == 20
    for row in lines:
        found = table.sel(cycle=int(row[0]))
        assert float(found.charge) == pytest.approx(1e3 * float(row[1]), abs=0.006)
        assert float(found.discharge) == pytest.approx(1e3 * float(row[2]), abs=0.006)
    assert 100 * float(table.sel(cycle=2).efficiency) == pytest.approx(101.20, abs=0.01)


def test_neware_layers_signs_temperatures_and_clock():
    ds = cell("neware_nested_export_with_temperature.csv")
    assert float(ds.current.min()) == -500.0
    assert float(ds.current.max()) == 500.0
    assert ds.attrs["start"] == "2026-03-06T12:37:25.000"
    assert ds["temperature"].attrs["units"] == "degC"
    assert float(ds.temperature_cpu[0]) == 25.36
    assert float(ds.voltage.max()) == pytest.approx(4.7, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "rows", "current", "start"),
    [
        ("neware_test.nda", 439, 0.0505, "2020-03-25T11:16:50"),
        ("neware_test.ndax", 1464, 0.12, "2024-02-01T20:24:23"),
        ("neware_ZZZZZZZZTEST.ndax", 301, 0.0, "2025-09-11T14:51:28.254000+00:00"),
    ],
)
def test_neware_binary(name, rows, current, start):
    pytest.importorskip("NewareNDA")
    ds = cell(name)
    assert ds.sizes["time"] == rows
    assert float(np.abs(ds.current).max()) == pytest.approx(current, abs=1e-4)
    assert ds.attrs["start"] == start  # UTC where the file holds it: never this machine's zone
    assert np.all(np.diff(ds.time) >= 0)


def test_neware_binary_capacities_and_auxiliary():
    pytest.importorskip("NewareNDA")
    ds = cell("neware_test.ndax")
    assert float(ds.voltage.min()) == pytest.approx(1.4995)
    assert float(ds.voltage.max()) == pytest.approx(4.3998)
    row = capacities(ds).sel(cycle=1)
    assert float(row.charge) == pytest.approx(0.593, abs=5e-4)
    assert float(row.discharge) == pytest.approx(0.625, abs=5e-4)
    np.testing.assert_allclose(charge_passed(ds).values[-1], ds.capacity.values[-1], atol=2e-3)
    assert 20 < float(cell("neware_ZZZZZZZZTEST.ndax").temperature.mean()) < 30


def test_maccor_minutes_decimal_comma_and_a_cut_row():
    ds = cell("maccor_decimal_comma.txt")
    assert ds.sizes["time"] == 214
    np.testing.assert_allclose(np.diff(ds.time), 60.0)  # README: one row per 60 s by the clock
    assert "min" in ds.attrs["time_note"]
    assert float(ds.voltage[0]) == 0.1377
    assert ds.attrs["cut_rows"] == "1"
    assert np.isnan(ds.voltage[-1])
    assert ds.attrs["start"].startswith("2021-05-06T11:23:46")
    assert "day before month" in ds.attrs["start_note"]


def test_basytec():
    ds = cell("basytec_sample.txt")
    assert float(ds.voltage[0]) == pytest.approx(3.5257, abs=1e-4)
    assert float(ds.temperature[0]) == pytest.approx(25.48, abs=5e-3)
    assert ds.attrs["start"] == "2023-06-19T17:56:53"
    assert float(ds.capacity[-1]) == pytest.approx(1.24892, abs=1e-5)
    np.testing.assert_allclose(charge_passed(ds).values[-1], ds.capacity.values[-1], rtol=0.1)


def test_picolog():
    (ds,) = read(data("echem/temperature_logs/picolog_temperature.csv")).values()
    assert ds.attrs["technique"] == "temperature"
    assert ds.sizes["time"] == 2470
    np.testing.assert_allclose(np.diff(ds.time), 10.0)
    assert ds.attrs["start"] == "2022-08-12T14:40:43+00:00"
    kinds = [f"temperature_inside_gde_tck01_{k}" for k in ("min", "ave", "max")]
    low, mean, high = (ds[k].values for k in kinds)
    assert np.all(low <= mean + 0.011)
    assert np.all(mean <= high + 0.011)


def test_strain_table_without_headings():
    (ds,) = read(data("echem/strain_temperature_18650/Q30_S001_1C.csv")).values()
    assert ds.attrs["technique"] == "strain"
    assert ds.sizes["time"] == 3548
    np.testing.assert_allclose(ds.power, ds.current * ds.voltage / 1e3, atol=0.05)
    assert float(ds.voltage.max()) == pytest.approx(4.14, abs=5e-3)
    assert float(ds.temperature.max()) == pytest.approx(33.7, abs=0.05)
    assert float(charge_passed(ds)[-1]) == pytest.approx(-3000.0, rel=0.02)  # 3.0 Ah at 1C
    assert abs(float(ds.strain[0])) < 1e-3


def test_relaxis_eclab_text_and_binary_are_one_measurement():
    folder, name = "echem/eis_LPSCl_pellet", "PEIS_LPSCl_IonBlocking_-25C"
    text = read(data(f"{folder}/{name}.txt"))["cell"].sortby("frequency")
    relaxis = read(data(f"{folder}/{name}_RelaxIS.txt"))["cell"].sortby("frequency")
    assert text.sizes["point"] == relaxis.sizes["point"] == 79
    for key in ("frequency", "impedance_re", "impedance_im"):
        np.testing.assert_allclose(text[key].values, relaxis[key].values, rtol=1e-6, err_msg=key)
    binary = read(data(f"{folder}/{name}.mpr"))["cell"].sortby("frequency")
    for key in ("frequency", "impedance_re", "impedance_im"):
        assert np.array_equal(binary[key].values, relaxis[key].values), key


def test_novocontrol_series_falls_with_temperature():
    last = np.inf
    for celsius in range(140, 201, 10):
        path = data(f"echem/eis_ionic_conductor_140_200C/s04147-{celsius}deg.txt")
        ds = read(path)["cell"]
        assert 39 <= ds.sizes["point"] <= 42
        assert float(ds.frequency.max()) == 1e6
        assert np.all(ds.impedance_im < 0)  # README: Z'' is signed in the file
        assert float(ds.impedance_re.max()) < last  # the conductivity is activated
        last = float(ds.impedance_re.max())
    assert identify(path).name == "cell_table"


def test_impedance_without_headings():
    (ds,) = read(data(f"{EIS}/exampleData.csv")).values()
    assert ds.attrs["technique"] == "impedance"
    assert int((ds.impedance_im < 0).sum()) == 57
    # published R0 + R1 + R2 + Wo: 16.5, 8.7, 5.4 mOhm and the start of 63 mOhm of diffusion
    capacitive = ds.impedance_re.values[ds.impedance_im.values < 0]
    assert capacitive.min() == pytest.approx(0.0165, rel=0.1)
    assert float(ds.impedance_re.max()) < 0.0165 + 0.0087 + 0.0054 + 0.0631


def test_incremental_capacity_keeps_the_charge():
    ds = cell("arbin_example.bdf.csv")
    first = ds.isel(time=(ds.cycle == 1).values & (ds.current > 0).values)
    curve = incremental_capacity(first, step=0.005)
    whole = float(first.capacity[-1] - first.capacity[0])
    assert float(curve.sum() * 0.005) == pytest.approx(whole)
    # LiCoO2 in name and shape: one plateau near 3.9 V carries most of it
    assert 3.85 < float(curve.voltage.values[curve.values.argmax()]) < 4.0


TABLES = {
    "arbin.csv": (
        "Data Point,Date Time,Test Time (s),Cycle Index,Step Index,Current (A),Voltage (V),"
        "Charge Capacity (Ah),Discharge Capacity (Ah),Aux_Temperature_1 (C)\n"
        '1,"\t09/20/2024 08:32:34.558",30.0,1,1,0,3.5,0,0,24.7\n'
        '2,"\t09/20/2024 08:33:34.558",90.0,1,2,0.1,3.6,0.001,0,24.8\n'
        '3,"\t09/20/2024 08:34:34.558",150.0,1,2,-0.1,3.4,0.001,0.001,24.9\n',
        {"current": [0, 100, -100], "capacity": [0, 1, 0], "time": [30, 90, 150],
         "temperature": [24.7, 24.8, 24.9]},
        "2024-09-20T08:32:04.558",
    ),
    "maccor_old.txt": (
        "Today's Date:\t14 December 2020\tDate of Test:\t11 December 2020, 12:22:12 PM\n"
        "Filename:\tcell\tTester Channel:\t1\nProcedure:\tx.000\tDescription:\t\n"
        "Rec#\tCyc#\tStep\tTestTime\tStepTime\tAmp-hr\tWatt-hr\tAmps\tVolts\tState\tES\tDPt Time\n"
        "1\t0\t1\t  0d 00:00:0\t  0d 00:00:0\t0\t0\t0\t3.46\tR\t0\t12/11/2020 12:22:12\n"
        "2\t0\t2\t  0d 00:01:0.5\t  0d 00:00:30\t0.001\t0\t0.5\t3.40\tD\t5\t12/11/2020 12:23:12\n"
        "3\t0\t3\t  1d 00:02:0\t  0d 00:00:30\t0.002\t0\t0.5\t3.60\tC\t5\t12/12/2020 12:24:12\n",
        {"current": [0, -500, 500], "time": [0, 60.5, 86520], "capacity": [0, -1, 0]},
        "2020-12-11T12:22:12",
    ),
    "maccor_milli.txt": (
        "Today''s Date\t03/28/2022 12:50:27 PM\n\nDate of Test:\t08/23/2021 6:04:18 PM\n\n"
        "Rec#\tCyc#\tStep\tTestTime\tmAmp-hr\tmWatt-hr\tmAmps\tVolts\tState\tES\tDPt Time\n"
        "1\t0\t1\t0d 00:00:00.00\t0\t0\t0\t1853.8\tR\t0\t08/23/2021 6:04:18 PM\n"
        "2\t0\t2\t0d 00:01:00.00\t0.1\t0\t6.0\t1853.0\tD\t1\t08/23/2021 6:05:18 PM\n",
        {"voltage": [1.8538, 1.853], "current": [0, -6], "capacity": [0, -0.1]},
        "2021-08-23T18:04:18",
    ),
    "basytec_german.txt": (
        "~Resultfile from Basytec Battery Test System\n~Start of Test: 19.06.2023 17:56:53\n"
        "~Time[h]\tDataSet\tLine\tCommand\tU[V]\tI[A]\tAh[Ah]\tT1[°C]\n"
        "0,000000\t1\t3\tPause\t3,5257\t0,0\t0,0\t25,4\n"
        "0,500000\t2\t4\tCharge\t3,6\t0,010\t0,005\t25,5\n"
        "1,000000\t3\t5\tDischarge\t3,4\t-0,010\t0,000\t25,6\n",
        {"time": [0, 1800, 3600], "current": [0, 10, -10], "voltage": [3.5257, 3.6, 3.4],
         "capacity": [0, 5, 0], "temperature": [25.4, 25.5, 25.6]},
        "2023-06-19T17:56:53",
    ),
    "neware_flat.csv": (
        "DataPoint,Cycle Index,Step Index,Step Type,Time,Cumulative Time,Current(A),Voltage(V),"
        "Capacity(Ah),Spec. Cap.(mAh/g),Chg. Cap.(Ah),DChg. Cap.(Ah),Date\n"
        "1,1,1,Rest,00:00:00,00:00:00,0,2.9,0,0,0,0,2022-05-18 16:27:52\n"
        "2,1,2,CC Chg,00:00:30,00:01:00,0.001,3.0,0.002,5,0.002,0,2022-05-18 16:28:52\n"
        "3,1,3,CC DChg,00:00:30,26:00:00,-0.001,2.8,0.001,3,0,0.001,2022-05-19 18:27:52\n",
        {"time": [0, 60, 93600], "current": [0, 1, -1], "charge_capacity": [0, 2, 2],
         "discharge_capacity": [0, 0, 1], "capacity": [0, 2, 1]},
        "2022-05-18T16:27:52",
    ),
    "neware_steps_only.csv": (
        "DateTime,Cycle ID,Step ID,Record ID,Time(h:min:s.ms),Voltage(V),Current(mA),"
        "Capacitance_Chg(mAh),Capacitance_DChg(mAh),Status\n"
        "2026-01-01 00:00:00,1,1,1,0:00:00.0,3.50,1000,0,0,C\n"
        "2026-01-01 00:00:10,1,1,2,0:00:10.0,3.60,1000,10,0,C\n"
        "2026-01-01 00:00:20,1,2,3,0:00:00.0,3.55,1000,10,5,D\n",
        {"time": [0, 10, 20], "current": [1000, 1000, -1000], "capacity": [0, 10, 5]},
        "2026-01-01T00:00:00",
    ),
    "bdf_opposite_sign.csv": (
        "Test Time / h,Current / A,Voltage / V,Step Type / 1,Cycle Count / 1,Charge Capacity / Ah,"
        "Discharge Capacity / Ah\n"
        "0.0,0.006,3.31,discharge,1,0,0\n0.5,0.006,3.30,discharge,1,0,0.003\n"
        "1.0,-0.006,3.40,charge,1,0,0\n1.5,-0.006,3.40,charge,1,0.003,0\n",
        {"current": [-6, -6, 6, 6], "time": [0, 1800, 3600, 5400], "capacity": [0, -3, -3, 0]},
        None,
    ),
    "bdf_machine.csv": (
        "test_time_second,voltage_volt,current_ampere,unix_time_second\n"
        "0.0,3.5,0.001,1700000000\n1.0,3.6,0.001,1700000001\n",
        {"voltage": [3.5, 3.6], "current": [1, 1], "time": [0, 1]},
        None,
    ),
    "novonix.csv": (
        "[Summary]\nNovonix UHPC data file\nNovonix\nStarted: 2025-07-19 15:26:20\n[End Summary]\n"
        "[Protocol]\n" + "{}" * 6000 + "\n[End Protocol]\n[Data]\n"
        "Date and Time,Cycle Number,Step Type,Run Time (h),Step Time (h),Current (A),Potential (V),"
        "Capacity (Ah),Temperature (°C),Circuit Temperature (°C)\n"
        "2025-07-19 15:26:20,1,7,0.0,0.0,0.0,3.84,0.0,24.6,25.2\n"
        "2025-07-19 16:26:20,1,7,1.0,1.0,0.5,3.90,0.5,24.7,25.3\n",
        {"time": [0, 3600], "current": [0, 500], "capacity": [0, 500],
         "temperature_circuit_temperature": [25.2, 25.3]},
        "2025-07-19T15:26:20",
    ),
    "own_semicolons.csv": (
        "Zeit [min];Spannung [mV];Strom [µA];Druck [bar]\n0;3500,5;-10,0;10\n1;3400,0;-10,0;20\n",
        {"time": [0, 60], "voltage": [3.5005, 3.4], "current": [-0.01, -0.01], "pressure": [1, 2]},
        None,
    ),
    "units_below.txt": (
        "time\tvoltage\tcurrent\ns\tV\tmA\n0\t1\t2\n1\t2\t3\n",
        {"time": [0, 1], "voltage": [1, 2], "current": [2, 3]},
        None,
    ),
    "sensors.csv": (
        "Zeit [s];FBG 1 [µε];FBG 2 [µε];Zelle innen [°C];Druck 1 [bar];Kraft [kN]\n"
        "0;10,5;20;25,1;50;1\n10;11,5;21;25,2;51;2\n",
        {"strain": [10.5e-6, 11.5e-6], "strain_fbg_2": [20e-6, 21e-6], "temperature": [25.1, 25.2],
         "pressure": [5.0, 5.1], "force": [1000, 2000]},
        None,
    ),
    "basytec_all_german.txt": (
        "~Ergebnisdatei\n~Start des Tests: 05.06.2023 17:56:53\n"
        "~Zeit[h]\tZeile\tBefehl\tU[V]\tI[A]\tAh[Ah]\n"
        "0,0\t3\tPause\t3,5\t0,0\t0,0\n0,5\t4\tLaden\t3,6\t0,01\t0,005\n"
        "1,0\t5\tEntladen\t3,4\t-0,01\t0,000\n",
        {"time": [0, 1800, 3600], "current": [0, 10, -10], "capacity": [0, 5, 0]},
        "2023-06-05T17:56:53",
    ),
    "pressure.csv": (
        "Timestamp,Stack pressure (kPa)\n2024-01-01T10:00:00Z,5000\n2024-01-01T10:00:10Z,5100\n",
        {"time": [0, 10], "pressure": [5.0, 5.1]},
        "2024-01-01T10:00:00+00:00",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_layouts_of_other_versions_and_locales(name, tmp_path):
    text, expected, start = TABLES[name]
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    (ds,) = read(path).values()
    for key, values in expected.items():
        np.testing.assert_allclose(ds[key].values, values, atol=1e-9, err_msg=key)
    if start is not None:
        found = datetime.fromisoformat(ds.attrs["start"])
        assert found == datetime.fromisoformat(start)


def test_encodings(tmp_path):
    text = "Time (s)\tVoltage (V)\tT1(℃)\n0\t1\t25.5\n1\t2\t26.5\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "gb18030"):
        path = tmp_path / f"{encoding}.txt"
        path.write_bytes(text.encode(encoding))
        np.testing.assert_allclose(read(path)["cell"].temperature, [25.5, 26.5])


def test_impedance_tables_of_other_programs(tmp_path):
    rows = "1000,10,5\n100,20,10\n10,30,15\n1000,11,6\n100,21,11\n10,31,16\n"
    path = tmp_path / "a.csv"
    path.write_text("Frequency (Hz),Z' (Ohm),-Z'' (Ohm)\n" + rows)
    ds = read(path)["cell"]
    np.testing.assert_allclose(ds.impedance_im, [-5, -10, -15, -6, -11, -16])
    np.testing.assert_allclose(ds.spectrum, [0, 0, 0, 1, 1, 1])
    path.write_text("Freq (kHz);|Z| (kOhm);Phase (deg)\n1,0;1,0;-90,0\n0,1;2,0;-60,0\n0,01;3;0\n")
    ds = read(path)["cell"]
    np.testing.assert_allclose(ds.frequency, [1000, 100, 10])
    np.testing.assert_allclose(ds.impedance_re, [0, 1000, 3000], atol=1e-9)
    np.testing.assert_allclose(ds.impedance_im, [-1000, -1732.0508, 0], atol=1e-3)


def test_what_is_wrong_is_one_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Time (s),Voltage (V),Current (mA)\n2,1,1\n1,1,1\n0,1,1\n")
    with pytest.raises(FormatError, match=r"a\.csv: time runs back"):
        read(path)
    path.write_text("Time (s),Voltage (V)\n")
    with pytest.raises(FormatError, match=r"a\.csv"):
        read(path)

"""Other versions, exporters and locales of the cell formats, in fragments written here."""

from __future__ import annotations

import numpy as np
import pytest

from spectra.errors import FormatError
from spectra.formats.registry import identify, read

GAMRY = (
    "EXPLAIN\nTAG\t{tag}\nTITLE\tLABEL\tx\tTest &Identifier\nDATE\tLABEL\t{date}\tDate\n"
    "TIME\tLABEL\t11:16:43\tTime\n{tables}"
)
CURVE = (
    "CURVE\tTABLE\t{n}\n\tPt\tT\tVf\tIm\tPwr\tTemp\tIERange\n\t#\ts\tV\tA\tW\tdeg C\t#\n"
    "\t0\t0.1\t-0.28\t{i}\t0\t{t}\t10\n\t1\t0.2\t-0.27\t{i}\t0\t{t}\t10\n"
)


@pytest.fixture
def opened(tmp_path):
    def write(name, text, encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return read(path)

    return write


def test_gamry_charge_and_discharge_steps(opened):
    charge = GAMRY.format(
        tag="PWR800_CHARGE", date="11/12/2015", tables=CURVE.format(n=66, i="2E-2", t="-327.6")
    )
    ds = opened("a.dta", charge)["CURVE"]
    np.testing.assert_allclose(ds.current, 20.0)
    assert "temperature" not in ds  # no sensor
    assert ds.attrs["start"] == "2015-11-12T11:16:43"
    discharge = GAMRY.format(
        tag="PWR800_DISCHARGE", date="11/12/2015", tables=CURVE.format(n=66, i="2E-2", t="25.5")
    )
    ds = opened("b.dta", discharge)["CURVE"]
    np.testing.assert_allclose(ds.current, -20.0)
    assert "turned" in ds.attrs["current_note"]
    np.testing.assert_allclose(ds.temperature, 25.5)


def test_gamry_clocks_and_repeated_tables(opened):
    rest = "OCVCURVE\tTABLE\t2\n\tPt\tT\tVf\n\t#\ts\tV\n\t0\t0\t1,0\n\t1\t90\t1,1\n"
    tables = rest + CURVE.format(n=2, i="1E-3", t="25") + CURVE.format(n=2, i="2E-3", t="25")
    found = opened("c.dta", GAMRY.format(tag="CV", date="31.12.2021", tables=tables))
    assert list(found) == ["OCVCURVE", "CURVE", "CURVE_2"]
    assert found["OCVCURVE"].attrs["start"] == "2021-12-31T11:16:43"
    assert found["CURVE"].attrs["start"] == "2021-12-31T11:18:13"
    assert found["CURVE"].attrs["technique"] == "voltammetry"
    np.testing.assert_allclose(found["CURVE_2"].current, 2.0)


def test_gamry_aborted_impedance(opened):
    table = (
        "ZCURVE\tTABLE\n\tPt\tTime\tFreq\tZreal\tZimag\tIdc\tVdc\n\t#\ts\tHz\tohm\tohm\tA\tV\n"
        "\t0\t1\t1000\t10\t-1\t0\t1.3\n\t1\t3\t100\t11\t-2\t0\t1.3\n"
        "EXPERIMENTABORTED\tTOGGLE\tT\tExperiment Aborted\n"
    )
    ds = opened("d.dta", GAMRY.format(tag="EISPOT", date="5/11/2016", tables=table))["ZCURVE"]
    np.testing.assert_allclose(ds.impedance_im, [-1, -2])


def test_zplot_before_version_3_and_autolab(opened):
    old = (
        '"ZPlotW Data File: Version 3.2c"\n"Raw Data"\nDate: 12-17-2019    Time: 16:24:35\n79\n'
        "\"  Freq(Hz)    Ampl     Bias   Time(Sec)   Z'(a)    Z''(b)    GD   Err   Range\"\n"
        "3.0E+05, 1.0E-02, 0.0E+00, 2.58, 6.4262E+02, -8.5821E+01, 0.0, 0, 5\n"
        "2.3E+05, 1.0E-02, 0.0E+00, 3.28, 6.7477E+02, -1.1931E+02, 0.0, 0, 5\n"
    )
    ds = opened("a.z", old)["impedance"]
    np.testing.assert_allclose(ds.impedance_re, [642.62, 674.77])
    assert ds.attrs["start"] == "2019-12-17T16:24:35"
    autolab = (
        '"Z60W Data File: Version 1.1"\n""\n41\n"  Freq (Hz)  Ampl  Bias  Time(Sec)  Z\'(a)"\n'
        "10000,0,0,0,0.0137,0.0071,0,0,0\n7498.9,0,0,0,0.0134,-0.0052,0,0,0\n"
    )
    ds = opened("b.txt", autolab)["impedance"]
    np.testing.assert_allclose(ds.impedance_im, [0.0071, -0.0052])


def test_nova_ch_instruments_and_powersuite(opened):
    nova = (
        "Index;Frequency (Hz);Z' (Ω);-Z'' (Ω);Z (Ω);-Phase (°);Time (s)\n"
        "1;100000,5;10,5;2,5;11;13;0\n2;10000;11;3;12;15;1\n"
    )
    ds = opened("nova.txt", nova)["cell"]
    np.testing.assert_allclose(ds.frequency, [100000.5, 10000])
    np.testing.assert_allclose(ds.impedance_im, [-2.5, -3])
    chi = (
        "Feb. 20, 2020   15:55:08\nA.C. Impedance\nInit E (V) = 0\n\n"
        "Freq/Hz, Z'/ohm, Z\"/ohm, Z/ohm, Phase/deg\n\n"
        "9.961e+4, 9.891e+1, -2.748e+0, 9.894e+1, -1.6\n8.2e+4, 9.9e+1, 1.6e+0, 9.9e+1, 0.9\n"
    )
    ds = opened("chi.txt", chi)["cell"]
    np.testing.assert_allclose(ds.impedance_im, [-2.748, 1.6])
    assert ds.attrs["start"] == "2020-02-20T15:55:08"
    sweep = "Feb. 20, 2020   15:55:08\nCyclic Voltammetry\n\nPotential/V, Current/A\n\n0.1, 1e-6\n0.2, 2e-6\n"  # noqa: E501
    ds = opened("chi_cv.txt", sweep)["cell"]
    assert ds.attrs["technique"] == "voltammetry"
    np.testing.assert_allclose(ds.current, [1e-3, 2e-3])
    suite = "Frequency\t Zre\t Zimg\n0.1\t 423929.46\t -49014.063\n0.17\t 407724.77\t -44951.6\n"
    ds = opened("suite.txt", suite)["cell"]
    np.testing.assert_allclose(ds.impedance_re, [423929.46, 407724.77])


def test_relaxis_export_of_two_spectra(opened):
    block = (
        "Data: Frequency\tData: Z'\tData: Z''\tData: |Z|\tData: Theta (Z)\n"
        "DC=-0.08, TM=33.7\tModel: Unassigned Spectra\t(WE/RE Spectrum) a.mpr_1\t\t\n"
        "0.1\t10\t-5\t11\t-20\n1\t9\t-4\t10\t-20\n10\t8\t-3\t9\t-20\n"
    )
    text = "RelaxIS 3.0 Spectrum export\nDate: 12/16/2025 2:29:15 PM\n" + block + block
    ds = opened("a.txt", text)["cell"]
    np.testing.assert_allclose(ds.spectrum, [0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(ds.impedance_im, [-5, -4, -3] * 2)


def test_novocontrol_says_when_and_how_large(opened):
    text = (
        "s05751_25deg, 26.02.2025, 15:11\n"
        "Diameter[mm]: 1.300e+01  Thickness[mm]: 7.500e-01  Spacer Capacity[pF]: 0.000e+00\n"
        "Fixed value(s) :  AC Volt  [Vrms]=7.1000e-03  \n"
        "     Freq.[Hz]\t      Zs'[ohm]\t     Zs''[ohm]\n"
        " 1.0000000e+06\t 3.8055903e+03\t-6.3180615e+03\n"
        " 7.4053000e+05\t 4.6881514e+03\t-7.8459375e+03\n"
    )
    ds = opened("a.txt", text)["cell"]
    assert ds.attrs["start"] == "2025-02-26T15:11:00"
    assert float(ds.attrs["diameter_mm"]) == 13.0
    assert float(ds.attrs["thickness_mm"]) == 0.75
    assert ds.attrs["title"] == "s05751_25deg"
    assert "sign_note" not in ds.attrs
    text = "Frequency (Hz)\tZ_re (Ohm)\tZ_img (Ohm)\n1\t27\t7\n10\t25\t6\n"
    assert "positive throughout" in opened("b.txt", text)["cell"].attrs["sign_note"]


def test_maccor_end_of_step_belongs_to_the_step(opened):
    text = (
        "Rec#\tCyc#\tStep\tTest (Min)\tAmp-hr(mAh)\tAmps(mA)\tVolts\tState\n"
        "1\t1\t1\t0\t0\t0\t3.0\tR\n2\t1\t2\t1\t0.1\t6\t2.9\tD\n3\t1\t2\t2\t0.2\t6\t2.8\tS\n"
    )
    ds = opened("a.txt", text)["cell"]
    np.testing.assert_allclose(ds.current, [0, -6, -6])
    np.testing.assert_allclose(ds.capacity, [0, -0.1, -0.2])
    np.testing.assert_allclose(ds.time, [0, 60, 120])


def test_maccor_date_in_the_title_and_clock_in_the_rows(opened):
    text = (
        "Today's Date 01/15/2025  Date of Test:\t01/14/2025\t Filename:\tC:\\x.001 Procedure: y\n"
        "Rec#\tCyc#\tStep\tTest (Min)\tStep (Min)\tAmp-hr\tAmps\tVolts\tState\tES\tDPt Time\n"
        "1\t0\t1\t0.0000\t0.0\t0.0\t0.0\t2.314\tR\t0\t11:49:32\n"
        "2\t0\t3\t6.0000\t0.5\t0.0000050833\t0.00061\t2.417\tC\t0\t11:54:32\n"
        "3\t0\t4\t14.0000\t0.5\t0.0000457500\t-0.00061\t2.717\tD\t0\t11:02:32\n"
    )
    ds = opened("a.txt", text)["cell"]
    np.testing.assert_allclose(ds.time, [0, 360, 840])
    np.testing.assert_allclose(ds.current, [0, 0.61, -0.61])
    assert ds.attrs["start"] == "2025-01-14T11:49:32"


def test_pec(opened):
    text = (
        "Test:,187\nDate Made:,1/21/2003 0:00\nStart Time:,02/22/2019 16:21:35\n"
        "#RESULTS CHECK\nReqYear,Test,CellNr,Type,Value,Reason,\n2019,187,1,1,3272,3,\n"
        "#END RESULTS CHECK\n"
        "Test,Cell,Step,Cycle,Total Time (Seconds),Step Time (Seconds),Real Time,Voltage (mV),"
        "Current (mA),Charge Capacity (mAh),Discharge Capacity (mAh),Charge Capacity (mWh),"
        "Discharge Capacity (mWh),Ambient temperature (°C),Cell surface temperature (°C),\n"
        "187,1,0,0,1,1,02/22/2019 16:23:27,3272.632,0,0,0,0,0,25.83,24.9,\n"
        "187,1,1,0,30.185,0.002,02/22/2019 16:23:56,3269.2348,-1633.9,0,0.5,0,1.6,,,\n"
    )
    ds = opened("a.csv", text)["cell"]
    np.testing.assert_allclose(ds.voltage, [3.272632, 3.2692348])
    np.testing.assert_allclose(ds.capacity, [0, -0.5])
    assert float(ds.temperature_cell_surface_temperature[0]) == 24.9
    assert ds.attrs["start"].startswith("2019-02-22T16:23:26")


def test_signed_currents_are_not_doubted_for_one_word(opened):
    head = "Test Time (s),Current (A),Voltage (V),Status\n"
    mixed = (
        head + "0,0.1,3.0,Charge/Discharge\n1,0.1,3.1,Charge/Discharge\n2,-0.1,3,Charge/Discharge\n"
    )
    ds = opened("a.csv", mixed)["cell"]
    np.testing.assert_allclose(ds.current, [100, 100, -100])
    assert "current_note" not in ds.attrs
    steps = mixed.replace("(V),", "(V),Capacity (Ah),").replace(",3.0,", ",3.0,0,")
    steps = steps.replace(",3.1,", ",3.1,0.002,").replace(",3,", ",3,0.001,")
    np.testing.assert_allclose(opened("c.csv", steps)["cell"].capacity, [0, 2, 1])
    opposite = head + "0,-0.1,3.0,Charge\n1,-0.1,3.1,Charge\n2,0.1,3,Discharge\n"
    ds = opened("b.csv", opposite)["cell"]
    np.testing.assert_allclose(ds.current, [100, 100, -100])
    assert "turned" in ds.attrs["current_note"]


def test_unsigned_current_takes_its_sign_from_the_counters(opened):
    text = (
        "Test Time (s),Current (A),Voltage (V),Charge Capacity (Ah),Discharge Capacity (Ah)\n"
        "0,0,3.0,0,0\n10,0.1,3.1,0.001,0\n20,0.1,2.9,0.001,0.001\n30,0.1,2.8,0.001,0.002\n"
    )
    ds = opened("a.csv", text)["cell"]
    np.testing.assert_allclose(ds.current, [0, 100, -100, -100])


def test_basytec_apart_by_blanks_with_dates(opened):
    text = (
        "~Resultfile from Basytec Battery Test System\n~Start of Test: 05.05.2025 14:36:06\n~\n"
        "~Time[h] DataSet DateTime t-Step[h] Line Command U[V] I[A] Ah[Ah] T1[°C] Cyc-Count State\n"
        "0.000000 1 05.05.2025 14:36:06 0.0 2 Pause 2.875 0 0 25 1 0\n"
        "0.500000 2 05.05.2025 15:06:06 0.5 3 Charge 2.876 0.005 0.0025 26 1 0\n"
    )
    for encoding in ("utf-8", "latin-1"):
        ds = opened(f"{encoding}.txt", text, encoding)["cell"]
        np.testing.assert_allclose(ds.time, [0, 1800])
        np.testing.assert_allclose(ds.current, [0, 5])
        np.testing.assert_allclose(ds.temperature, [25, 26])
        assert ds.attrs["start"].startswith("2025-05-05T14:36:06")


def test_neware_layers_of_older_versions(opened):
    text = (
        "Cycle ID\tCap_Chg(mAh)\tCap_DChg(mAh)\tSpecific Capacity-Chg(mAh/g)\n"
        "\tStep ID\tStep Name\tStep Time(h:min:s.ms)\tCapacity(mAh)\n"
        "\t\tRecord ID\tTime(h:min:s.ms)\tVoltage(V)\tCurrent(mA)\tTemperature(℃)\tCapacity(mAh)"
        "\tRealtime\n"
        "1\t0.02\t0.01\t0\n"
        "\t1\tCC_Chg\t0:01:00.000\t0.02\n"
        "\t\t1\t0:00:00.000\t3.0000\t1.2\t25.1\t0.00\t2019-01-01 10:00:00\n"
        "\t\t2\t0:01:00.000\t3.5000\t1.2\t25.2\t0.02\t2019-01-01 10:01:00\n"
        "\t2\tCC_DChg\t0:00:30.000\t0.01\n"
        "\t\t3\t0:00:00.000\t3.4000\t1.2\t25.3\t0.00\t2019-01-01 10:01:00\n"
        "\t\t4\t0:00:30.000\t3.3000\t1.2\t25.4\t0.01\t2019-01-01 10:01:30\n"
        "2\t0\t0\t0\n"
    )
    for encoding in ("utf-8", "gb18030"):
        ds = opened(f"{encoding}.txt", text, encoding)["cell"]
        np.testing.assert_allclose(ds.time, [0, 60, 60, 90])
        np.testing.assert_allclose(ds.current, [1.2, 1.2, -1.2, -1.2])
        np.testing.assert_allclose(ds.capacity, [0, 0.02, 0.02, 0.01])
        np.testing.assert_allclose(ds.temperature, [25.1, 25.2, 25.3, 25.4])
        assert ds.attrs["start"] == "2019-01-01T10:00:00"


def test_neware_layers_with_empty_cells(opened):
    text = (
        "Cycle ID,,,,,,\n,Step ID,,,,,\n"
        ",,Record ID,Time(h:min:s.ms),Voltage(V),Current(mA),Realtime\n"
        "1,,,,,,\n,1,,,,,\n"
        ",,1,0:00:01.0,3.20,1000,2026-04-02 00:00:01\n,,2,0:00:02.0,3.22,1000,2026-04-02 00:00:02\n"
        "2,,,,,,\n,1,,,,,\n,,3,0:00:01.0,3.2,-500,2026-04-02 00:00:03\n"
    )
    ds = opened("a.csv", text)["cell"]
    np.testing.assert_allclose(ds.cycle, [1, 1, 2])
    np.testing.assert_allclose(ds.current, [1000, 1000, -500])
    np.testing.assert_allclose(ds.time, [0, 1, 2])


def test_picolog_with_dates_and_volts(opened):
    text = (
        '"","Ch1 Last (°C)","Ch1 Ave. (°C)","Pressure cell Last (mV)"\n'
        '"2024-05-01T10:00:00+02:00","20.5","20.4","1000"\n'
        '"2024-05-01T10:00:10+02:00","20.6","20.5","1100"\n'
    )
    ds = opened("a.csv", text)["temperature"]
    np.testing.assert_allclose(ds.time, [0, 10])
    np.testing.assert_allclose(ds.temperature_ch1_last, [20.5, 20.6])
    np.testing.assert_allclose(ds.voltage_pressure_cell_last, [1.0, 1.1])
    assert ds.attrs["start"] == "2024-05-01T10:00:00+02:00"


def workbook(path, sheets):
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    book.close()


def test_arbin_workbook_of_two_sheets_is_one_test(tmp_path):
    head = ["Data_Point", "Date_Time", "Test_Time(s)", "Cycle_Index", "Current(A)", "Voltage(V)"]
    path = tmp_path / "a.xlsx"
    workbook(
        path,
        {
            "Global_Info": [["x"], ["Channel", "Start DateTime"], [5, "2020-01-01"]],
            "Channel_5_1": [head, [1, "2020-01-01 10:00:00", 0.0, 1, 0.001, 3.0]],
            "Channel_5_2": [head, [2, "2020-01-01 10:01:00", 60.0, 1, -0.001, 3.1]],
            "Statistics_5": [["Cycle_Index", "Charge_Capacity(Ah)"], [1, 0.1]],
        },
    )
    assert identify(path).name == "cell_xlsx"
    ds = read(path)["cell"]
    np.testing.assert_allclose(ds.time, [0, 60])
    np.testing.assert_allclose(ds.current, [1, -1])
    assert ds.attrs["channel"] == "5"


def test_excel_97_says_what_to_do(tmp_path):
    path = tmp_path / "a.xls"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000))
    with pytest.raises(FormatError, match=r"a\.xls: .* save it as \.xlsx or csv"):
        read(path)


def test_neware_workbook(tmp_path):
    head = ["DataPoint", "Cycle Index", "Step Index", "Step Type", "Time", "Total Time",
            "Current(A)", "Voltage(V)", "Capacity(Ah)", "Chg. Cap.(Ah)", "DChg. Cap.(Ah)",
            "Date"]  # fmt: skip
    path = tmp_path / "a.xlsx"
    workbook(
        path,
        {
            "unit": [["Start step ID", 1]],
            "cycle": [["Cycle Index", "Chg. Cap.(Ah)"], [1, 0.1]],
            "step": [["Step Index", "Step Time", "Voltage(V)"], ["a", "b", "c"]],
            "record": [
                head,
                [1, 1, 1, "CC Chg", "00:00:00", "00:00:00", 0.1, 3.0, 0, 0, 0,
                 "2024-01-01 10:00:00"],
                [2, 1, 1, "CC Chg", "00:01:00", "00:01:00", 0.1, 3.1, 0.002, 0.002, 0,
                 "2024-01-01 10:01:00"],
            ],
        },
    )  # fmt: skip
    ds = read(path)["cell"]
    np.testing.assert_allclose(ds.capacity, [0, 2])
    np.testing.assert_allclose(ds.time, [0, 60])
    assert ds.attrs["start"].startswith("2024-01-01T10:00:00")


@pytest.mark.parametrize("seed", range(4))
def test_any_damage_of_a_table_is_one_line_or_data(opened, seed):
    text = (
        "Rec#\tCyc#\tStep\tTestTime\tAmp-hr\tAmps\tVolts\tState\tDPt Time\n"
        + "".join(
            f"{k}\t0\t1\t  0d 00:00:{k:02d}\t0.1\t0.5\t3.{k}\tC\t12/11/2020 12:22:{k:02d}\n"
            for k in range(10, 40)
        )
    ).encode()
    rng = np.random.default_rng(seed)
    said = []
    for _ in range(60):
        raw = bytearray(text[: int(rng.integers(40, len(text)))])
        for at in rng.integers(0, len(raw), 5):
            raw[int(at)] = int(rng.integers(0, 256))
        try:
            opened("hurt.txt", raw.decode("latin-1"), "latin-1")
        except FormatError as error:
            said.append(str(error))
    assert all("hurt.txt" in line and "\n" not in line for line in said)

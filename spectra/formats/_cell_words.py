"""What the headings of cyclers, loggers and impedance programs mean, whoever wrote them.

A heading is a name and a unit in one of the usual spellings: ``Current(mA)``, ``U[V]``,
``Voltage / V``, ``Test_Time(s)``, ``-Im(Z)/Ohm``, ``voltage_volt``. `meaning` turns it into a
`Column`: one of the quantities below with the factor to this program's unit (s, V, mA, mAh, mWh,
degC, ohm, Hz, MPa, strain 1). What is not known is None and stays in the file. A quantity per mass
(``mAh/g``) is not the quantity.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_SCALES: dict[str, dict[str, float]] = {
    "time": {"s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3,
             "min": 60.0, "mins": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hr": 3600.0,
             "hrs": 3600.0, "hour": 3600.0, "hours": 3600.0, "d": 86400.0, "day": 86400.0,
             "days": 86400.0, "hminsms": 1.0, "hmins": 1.0, "hms": 1.0, "hhmmss": 1.0,
             "millisecond": 1e-3, "hmmss": 1.0, "hhmmssms": 1.0, "dhms": 1.0, "dhmss": 1.0},
    "potential": {"v": 1.0, "volt": 1.0, "volts": 1.0, "mv": 1e-3, "uv": 1e-6, "kv": 1e3,
                  "millivolt": 1e-3},
    "current": {"a": 1e3, "amp": 1e3, "amps": 1e3, "ampere": 1e3, "ma": 1.0, "milliampere": 1.0,
                "ua": 1e-3, "na": 1e-6, "pa": 1e-9},
    "charge": {"ah": 1e3, "mah": 1.0, "uah": 1e-3, "nah": 1e-6, "ahr": 1e3, "mahr": 1.0,
               "amphr": 1e3, "mamphr": 1.0, "c": 1 / 3.6, "coulomb": 1 / 3.6, "as": 1 / 3.6,
               "mc": 1 / 3600.0, "amperehour": 1e3, "milliamperehour": 1.0},
    "energy": {"wh": 1e3, "mwh": 1.0, "uwh": 1e-3, "whr": 1e3, "mwhr": 1.0, "watthr": 1e3,
               "mwatthr": 1.0, "watthour": 1e3, "j": 1 / 3.6},
    "power": {"w": 1.0, "mw": 1e-3, "watt": 1.0, "watts": 1.0, "uw": 1e-6},
    "temperature": {"c": 1.0, "degc": 1.0, "celsius": 1.0, "degreecelsius": 1.0, "degreesc": 1.0,
                    "cel": 1.0, "oc": 1.0, "k": 1.0, "f": 1.0, "": 1.0},
    "resistance": {"ohm": 1.0, "ohms": 1.0, "kohm": 1e3, "mohm": 1e-3, "megohm": 1e6, "ohmm": 0.0},
    "frequency": {"hz": 1.0, "khz": 1e3, "mhz": 1e6, "hertz": 1.0},
    "pressure": {"mpa": 1.0, "kpa": 1e-3, "pa": 1e-6, "bar": 0.1, "mbar": 1e-4, "psi": 6.894757e-3},
    "strain": {"": 1.0, "1": 1.0, "mm/mm": 1.0, "m/m": 1.0, "strain": 1.0, "ustrain": 1e-6,
               "ue": 1e-6, "uepsilon": 1e-6, "microstrain": 1e-6, "um/m": 1e-6, "%": 1e-2,
               "percent": 1e-2},
    "force": {"n": 1.0, "kn": 1e3, "kgf": 9.80665},
    "number": {"": 1.0, "1": 1.0, "#": 1.0},
    "text": {},
    "angle": {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": 57.29577951308232, "": 1.0},
}  # fmt: skip
_DEFAULT = {"time": "s", "potential": "v", "current": "a", "charge": "ah", "energy": "wh",
            "power": "w", "resistance": "ohm", "frequency": "hz", "pressure": "mpa",
            "force": "n"}  # fmt: skip

_NAMES: dict[str, tuple[str, str]] = {}


def _know(quantity: str, dimension: str, names: str) -> None:
    for name in names.split():
        _NAMES[name] = (quantity, dimension)


_know("time", "time", "testtime totaltime cumulativetime runtime elapsedtime timetest timeelapsed "
      "test cumtime testtimeelapsed totalelapsedtime")  # fmt: skip
_know("any_time", "time", "time t times zeit relativetime recordtime programdur")
_know("step_time", "time", "steptime tstep steptimeelapsed timeinstep step_time steptimes")
_know("unix_time", "time", "unixtime unixtimestamp epochtime")
_know("stamp", "text", "datetime dpttime date absolutetime realtime systemtime timestamp "
      "dateandtime recdatetime absolutedatetime datestamp localtime sysdatetime "
      "recordedtime datetimeutc dateandtimeutc 绝对时间 系统时间")  # fmt: skip
_know("clock", "text", "clocktime timeofday")
_know("voltage", "potential", "voltage u v volt volts ewe ecell e potential cellvoltage vf vdc "
      "workingelectrodevoltage vcell ucell spannung cellpotential eweece voltagecell 电压 vol "
      "voltagemeasured terminalvoltage")  # fmt: skip
_know("counter_voltage", "potential", "ece")
_know("current", "current", "current i amps amp ma im idc cur strom cellcurrent curr "
      "currentmeasured iapplied 电流 mamps milliamps")  # fmt: skip
_know("power", "power", "power p leistung watts")
_know("net_charge", "charge", "qqo netcapacity netcharge ah ahbatt qnet "
      "ahbalance")  # fmt: skip
_know("step_charge", "charge", "capacity cap amphr mamphr ahstep stepcapacity ladung 容量 "
      "capacitymeasured ahr charge")  # fmt: skip
_know("charge_total", "charge", "chargecapacity chgcap chargingcapacity capacitancechg ahcyccharge "
      "qcharge capacitycharge chargecap capchg ahcha chgcapacity ahchset chcapacity "
      "cumulativechargingcapacity accchgcap ahcharge capchgd capacitychg 充电容量")  # fmt: skip
_know("discharge_total", "charge", "dischargecapacity dchgcap dischargingcapacity capacitancedchg "
      "ahcycdischarge qdischarge capacitydischarge dischargecap capdchg ahdch dchgcapacity "
      "dischcapacity cumulativedischargingcapacity accdchgcap ahdischarge ahdisset capdischg "
      "capacitydchg 放电容量")  # fmt: skip
_know("charge_energy", "energy", "chargeenergy chgenergy chgeng engychg whcyccharge energycharge "
      "chargingenergy energychg")  # fmt: skip
_know("discharge_energy", "energy", "dischargeenergy dchgenergy dchgeng engydchg whcycdischarge "
      "energydischarge dischargingenergy energydchg")  # fmt: skip
_know("cycle", "number", "cycle cycleindex cycleid cyclenumber cyclec cyc cyccount cyclecount "
      "cycno cycleno zyklus fullcycle 循环号 循环序号")  # fmt: skip
_know("step", "number", "step stepindex stepid ns stepnumber steporder line steps stepno "
      "stepcount sequencenumber schritt 工步号 工步序号")  # fmt: skip
_know("state", "text", "state md status steptype command stepname statename mode steptypename "
      "工步类型 工步名称 状态 befehl")  # fmt: skip
_know("pressure", "pressure", "pressure stackpressure press cellpressure druck appliedpressure")
_know("strain", "strain", "strain hoopstrain microstrain dehnung axialstrain cellstrain")
_know("force", "force", "force load kraft stackforce")
_know("frequency", "frequency", "freq frequency f datafrequency frequenz freqhz")
_know("impedance_re", "resistance", "rez zreal zre zprime realz zr realimpedance re zwereal "
      "impedancere zreohm zsreal datazreal impedancereal realpart zrealohm reze")  # fmt: skip
_know("impedance_im", "resistance", "imz zimag zim zdoubleprime imagz zi imagimpedance im zweimag "
      "impedanceim zsimag datazimag impedanceimag imaginarypart zimg zimaginary imze "
      "imaginaryimpedance zimagohm")  # fmt: skip
_know("modulus", "resistance", "zmod zmodulus absz magz impedancemodulus dataz modz zmag")
_know("phase", "angle", "phase phasez theta zphz phaseangle datathetaz zphi phi zphase")

_BDF = re.compile(
    r"^(?P<name>[a-z_]+?)_(?P<unit>second|millisecond|volt|millivolt|ampere|ampere_hour|watt_hour|celsius|degree_celsius"
    r"|hertz|ohm|watt|milliampere|milliampere_hour|hour|minute|pascal)$"
)
_TEMPERATURE = re.compile(r"^(?:aux|ambient|cell|case|surface|internal|core|cpu)?"
                          r"(?:temperature|temp|auxtemperature|auxtemp|temperatur|evtemp)"
                          r"[a-z]*\d*$|^t\d+$|^cpu\d*$|^tc\d+$|^temp\d*$|"
                          r"^(?:ambient|circuit|cell)(?:temp|temperature)$")  # fmt: skip
_SENSORS = {
    "strain": ("ustrain", "ue", "uepsilon", "microstrain", "um/m"),
    "pressure": ("mpa", "kpa", "bar", "mbar", "psi"),
}


@dataclass(frozen=True)
class Column:
    """What one column holds.

    Parameters
    ----------
    quantity : str
        ``voltage``, ``current``, ``time`` ... or ``temperature`` with its own name in ``label``.
    factor : float
        To the unit of this program; negative for ``-Im(Z)``.
    told : bool
        Whether the heading states the unit.
    label : str
        Lower-case name as identifier, to tell several temperatures apart.
    unit : str
        The stated unit, plain.
    """

    quantity: str
    factor: float
    told: bool
    label: str
    unit: str = ""


def plain_unit(text: str) -> str:
    """Return a unit in plain lower case: ``°C`` and ``℃`` are degc, ``µA`` is ua, ``A.h`` is ah.

    ``m`` and ``M`` before ohm differ, so the capital becomes ``meg``.
    """
    text = text.strip()
    if re.fullmatch(r"M\s*(Ohms?|Ω|Ω)", text):
        return "megohm"
    for old, new in (("℃", "degc"), ("°", "deg"), ("Ω", "ohm"), ("Ω", "ohm"), ("µ", "u"),
                     ("μ", "u"), ("ε", "e"), ("\ufffd", "")):  # fmt: skip
        text = text.replace(old, new)
    return re.sub(r"[\s.:_*·-]", "", text.lower())


@lru_cache(maxsize=4096)
def meaning(heading: str) -> Column | None:
    """Return what a heading means, or None.

    Parameters
    ----------
    heading : str
        As in the file, without quotes.
    """
    text = heading.strip().strip('"').lstrip("~#").strip()
    if not text or len(text) > 60:
        return None
    machine = _BDF.match(text)
    if machine:
        return _column(machine["name"], machine["unit"].replace("_", ""), True)
    for pattern in (r"^(.+?)\s*\[([^\]]*)\]$", r"^(.+?)\s*\(([^()]*)\)$", r"^(.+?)\s*/\s*(\S+)$"):
        match = re.match(pattern, text)
        if match is None:
            continue
        name, unit = match.groups()
        if re.search(r"/\s*(m?g|kg|cm|m2|km)", unit):
            return None
        found = _column(name, plain_unit(unit), True)
        if found is not None:
            return found
        if pattern.startswith(r"^(.+?)\s*\(") and re.fullmatch(r"-?(re|im|phase)", name.lower()):
            continue
    return _column(text, "", False)


def _column(name: str, unit: str, told: bool) -> Column | None:
    key, sign = _key(name)
    label = re.sub(r"\W+", "_", name.strip().lower()).strip("_")
    if unit.startswith("vrms") or "|" in name.strip("-"):
        return _modulus(name, unit, told)
    quantity, dimension = _NAMES.get(key, ("", ""))
    if not quantity and _TEMPERATURE.match(key):
        quantity, dimension = "temperature", "temperature"
    if not quantity and dimension == "" and unit in ("degc", "celsius", "degreecelsius"):
        quantity, dimension = "temperature", "temperature"
    if not quantity and told:  # a sensor by any name, known by a unit that nothing else has
        for kind, units in _SENSORS.items():
            if key.startswith(kind) or unit in units:
                quantity = dimension = kind
                break
    if not quantity:
        return None
    if quantity == "current" and key in ("ma", "mamps", "milliamps") and not told:
        return Column(quantity, sign, True, label, "ma")
    if quantity == "step_charge" and key == "mamphr" and not told:
        return Column(quantity, sign, True, label, "mah")
    if dimension == "text":
        return Column(quantity, 1.0, told, label, unit)
    if dimension == "temperature" and unit in ("?", "o", "deg", "糃", "癈"):
        unit = "degc"  # the sign of the degree, lost between encodings
    scale = _SCALES[dimension]
    if told and unit not in scale:
        return None
    if not told:
        unit = _DEFAULT.get(dimension, "")
    if scale[unit] == 0.0:
        return None
    return Column(quantity, sign * scale[unit], told, label, unit)


def _modulus(name: str, unit: str, told: bool) -> Column | None:
    bare = re.sub(r"[\s:]|data", "", name.lower())
    if bare == "|z|" and (not told or unit in _SCALES["resistance"]):
        return Column("modulus", _SCALES["resistance"][unit or "ohm"], told, "modulus", unit)
    return None


def _key(name: str) -> tuple[str, float]:
    """Return a name as lookup key and the sign in front of it."""
    text = name.strip().lower()
    sign = 1.0
    if text.startswith("-"):
        text, sign = text[1:], -1.0
    for old, new in (("''", "imag"), ("’’", "imag"), ("″", "imag"), ('"', "imag"), ("'", "real"),
                     ("’", "real"), ("′", "real")):  # fmt: skip
        text = text.replace(old, new)
    if text.startswith(("z(", "-z(")):
        text = text.replace("(", "").replace(")", "")
    return re.sub(r"[^a-z0-9\u4e00-\u9fff]", "", text), sign

"""Makes detectors.txt: cases for the detectors, from public specifications and not from the engine.

Needs python-stdnum 2.2, whose validators are the oracle wherever it has one; the rest is computed here from the
specifications that the engine's detectors name. Same seed, same file: python3 make.py > detectors.txt

Each line: detector, kind, text, separated by tabs. In a text « and » stand around what must be found; backslash-n is a line end.
Kinds: structure (a form or checksum that counts by itself), checksum (a right check digit with a hot word near it), weak (a
weak form with a hot word), near (differs from a value by little), bare (a weak form or plain checksummed number without a hot word),
noise (what rows, logs and code are full of; of detector `*`: nobody may find anything in it).
"""

import importlib
import random
import string

RNG = random.Random(20240229)
UPPER, DIGITS = string.ascii_uppercase, string.digits
COUNT = 8


def std(module):
    return importlib.import_module("stdnum." + module)


def pattern(text):
    """A random string: 9 digit, A letter, X either."""
    pick = {"9": DIGITS, "A": UPPER, "X": UPPER + DIGITS}
    return "".join(RNG.choice(pick[sign]) if sign in pick else sign for sign in text)


def until(make, good):
    for _ in range(2_000_000):
        value = make()
        if good(value):
            return value
    raise RuntimeError("no value found")


def by(module, shape, extra=lambda value: True):
    """Random strings of the shape that stdnum's validator accepts."""
    valid = std(module).is_valid
    return lambda: until(lambda: pattern(shape), lambda value: valid(value) and extra(value))


def luhn(digits):
    return std("luhn").is_valid(digits)


def day(fmt, low=1940, high=1999):
    year, month = RNG.randint(low, high), RNG.randint(1, 12)
    date = RNG.randint(1, 28)
    return fmt.format(y=year % 100, Y=year, m=month, d=date)


def weights(text, factors):
    value = lambda c: int(c) if c.isdigit() else ord(c) - 55
    return sum(value(c) * f for c, f in zip(text, factors))


def groups(*lens, sep=" "):
    def write(value):
        parts, at = [], 0
        for length in lens:
            parts.append(value[at : at + length])
            at += length
        return sep.join(parts)

    return write


def plain(value):
    return value


def template(text):
    """Writes the characters of a value into the places of `#`."""
    return lambda value: "".join(next(it) if c == "#" else c for it in [iter(value)] for c in text)


# --- values that stdnum cannot make quickly or at all ------------------------------------------------------------------------


def dea():
    while True:
        digits = pattern("999999")
        check = (int(digits[0]) + int(digits[2]) + int(digits[4]) + 2 * (int(digits[1]) + int(digits[3]) + int(digits[5]))) % 10
        if int(digits):
            return RNG.choice("ABFMPR") + RNG.choice(UPPER) + digits + str(check)


def npi():
    return until(lambda: RNG.choice("12") + pattern("999999999"), lambda n: luhn("80840" + n) and len(set(n[1:])) > 1)


def mbi():
    letters = "ACDEFGHJKMNPQRTUVWXY"
    pick = {"C": "123456789", "A": letters, "N": DIGITS, "X": letters + DIGITS}
    return "".join(RNG.choice(pick[c]) for c in "CAXNAXNAANN")


def medicare():
    def make():
        body = RNG.choice("23456") + pattern("9999999")
        check = weights(body, [1, 3, 7, 9, 1, 3, 7, 9]) % 10
        return body + str(check) + RNG.choice("123456789")

    return make()


def icao_check(body):
    return str(sum((int(c) if c.isdigit() else ord(c) - 55) * w for c, w in zip(body, [7, 3, 1] * 4)) % 10)


SERIAL = "CFGHJKLMNPRTVWXYZ0123456789"


def german_card(first):
    body = RNG.choice(first) + "".join(RNG.choice(SERIAL) for _ in range(7)) + RNG.choice(DIGITS)
    return body + icao_check(body)


def rvnr():
    body = f"{RNG.randint(2, 60):02}" + day("{d:02}{m:02}{y:02}") + RNG.choice(UPPER) + pattern("99")
    expanded = body[:8] + f"{ord(body[8]) - 64:02}" + body[9:]
    total = sum(sum(map(int, str(int(c) * w))) for c, w in zip(expanded, [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1]))
    return body + str(total % 10)


def kvnr():
    body = RNG.choice(UPPER) + pattern("99999999")
    expanded = f"{ord(body[0]) - 64:02}" + body[1:]
    total = sum(sum(map(int, str(int(c) * w))) for c, w in zip(expanded, [1, 2] * 5))
    return body + str(total % 10)


def polish_card():
    def good(v):
        return weights(v, [7, 3, 1, 9, 7, 3, 1, 7, 3]) % 10 == 0

    return until(lambda: pattern("AAA999999"), good)


def nir():
    body = RNG.choice("12") + f"{RNG.randint(40, 99):02}{RNG.randint(1, 12):02}{RNG.randint(1, 95):02}" + pattern("999") + f"{RNG.randint(1, 999):03}"
    if body[5:7] == "20":
        body = body[:5] + "75" + body[7:]
    return body + f"{97 - int(body) % 97:02}"


def hetu():
    return until(lambda: day("{d:02}{m:02}{y:02}") + "-" + f"{RNG.randint(2, 899):03}" + RNG.choice("0123456789ABCDEFHJKLMNPRSTUVWXY"), std("fi.hetu").is_valid)


def personnummer():
    return until(lambda: day("{y:02}{m:02}{d:02}") + pattern("9999"), lambda v: luhn(v) and v[6:9] != "000")


def orgnr():
    return until(lambda: "55" + RNG.choice("6789") + pattern("9999999"), luhn)


def fnr():
    return until(lambda: day("{d:02}{m:02}{y:02}") + f"{RNG.randint(0, 499):03}" + pattern("99"), std("no.fodselsnummer").is_valid)


def cpr():
    def good(v):
        return weights(v, [4, 3, 2, 7, 6, 5, 4, 3, 2, 1]) % 11 == 0

    return until(lambda: day("{d:02}{m:02}{y:02}") + pattern("9999"), good)


def pesel():
    return until(lambda: day("{y:02}{m:02}{d:02}") + pattern("99999"), std("pl.pesel").is_valid)


def rrn():
    return day("{y:02}{m:02}{d:02}") + RNG.choice("12") + pattern("99999") + RNG.choice("123456789")


def frn():
    return day("{y:02}{m:02}{d:02}") + RNG.choice("56") + pattern("99999") + RNG.choice("123456789")


def za():
    return until(lambda: day("{y:02}{m:02}{d:02}") + pattern("9999") + "08" + pattern("9"), luhn)


def curp():
    states = "AS BC BS CC CL CM CS CH DF DG GT GR HG JC MC MN MS NT NL OC PL QT QR SP SL SR TC TS TL VZ YN ZS NE".split()
    consonants = "BCDFGHJKLMNPQRSTVWXYZ"

    def make():
        head = RNG.choice("BCDFG") + RNG.choice("AEIOU") + RNG.choice("LMNPR") + RNG.choice("JLMRS")
        body = head + day("{y:02}{m:02}{d:02}") + RNG.choice("HM") + RNG.choice(states) + "".join(RNG.choice(consonants) for _ in range(3)) + pattern("9")
        return body + std("mx.curp").calc_check_digit(body)

    return until(make, std("mx.curp").is_valid)


def codice_fiscale():
    def make():
        date = day("{y:02}") + RNG.choice("ABCDEHLMPRST") + f"{RNG.choice([RNG.randint(1, 28), RNG.randint(41, 68)]):02}"
        body = "".join(RNG.choice("BCDFGLMNPRST") for _ in range(6)) + date + RNG.choice("ABCDEFGHIL") + pattern("999")
        return body + std("it.codicefiscale").calc_check_digit(body)

    return until(make, std("it.codicefiscale").is_valid)


def partita_iva():
    return until(lambda: pattern("9999999") + f"{RNG.randint(1, 99):03}" + pattern("9"), std("it.iva").is_valid)


def gstin():
    def make():
        body = f"{RNG.randint(1, 37):02}" + pan() + RNG.choice("123456789") + "Z"
        return body + RNG.choice(UPPER + DIGITS)

    return until(make, std("in_.gstin").is_valid)


def pan():
    return pattern("AAA") + RNG.choice("PCHFATBLJG") + pattern("A") + f"{RNG.randint(1, 9999):04}" + pattern("A")


def nric():
    first = RNG.choice("STFGM")
    digits = pattern("9999999")
    total = weights(digits, [2, 7, 6, 5, 4, 3, 2]) + {"T": 4, "G": 4, "M": 3}.get(first, 0)
    table = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "XWUTRQPNJLK"}[first]
    return first + digits + table[total % 11]


def uen():
    return until(lambda: str(RNG.randint(1970, 2023)) + pattern("99999A"), std("sg.uen").is_valid)


def my_number():
    return until(lambda: pattern("999999999999"), std("jp.in_").is_valid)


def thai():
    def good(v):
        province = int(v[1:3])
        known = 10 <= province <= 27 or 30 <= province <= 58 or 60 <= province <= 67 or 70 <= province <= 77 or 80 <= province <= 86 or 90 <= province <= 96
        return v[0] in "12345678" and known and std("th.pin").is_valid(v)

    return until(lambda: pattern("9999999999999"), good)


def ph_tin():
    while True:
        body = pattern("99999999")
        check = weights(body, [9, 8, 7, 6, 5, 4, 3, 2]) % 11
        if check < 10 and len(set(body)) > 2:
            return body + str(check)


def vin():
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
    table = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9]))
    while True:
        body = list(RNG.choice("1245") + "".join(RNG.choice(letters) for _ in range(2)) + "".join(RNG.choice(letters + DIGITS) for _ in range(5)) + "0" + "".join(RNG.choice(letters + DIGITS) for _ in range(2)) + pattern("999999"))
        total = sum((int(c) if c.isdigit() else table[c]) * w for c, w in zip(body, [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2]))
        body[8] = "X" if total % 11 == 10 else str(total % 11)
        return "".join(body)


def base58(payload):
    import hashlib

    data = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    while number:
        number, rest = divmod(number, 58)
        text = alphabet[rest] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def bitcoin():
    value = base58(bytes([RNG.choice([0, 5])]) + RNG.randbytes(20))
    assert std("bitcoin").is_valid(value)
    return value


def driver_uk():
    name = RNG.choice(["MORGA", "SMITH", "JONES", "LEE99", "OBRIE", "TAYLO"])
    month = RNG.randint(1, 12) + RNG.choice([0, 50])
    return name + pattern("9") + f"{month:02}{RNG.randint(1, 28):02}" + pattern("9") + RNG.choice(["SM", "A9", "JP"]) + "9" + pattern("AA")


def postcode():
    area = RNG.choice(["M", "B", "EC", "SW", "LS", "CB", "GL", "N", "W", "OX"])
    tail = pattern("9") + "".join(RNG.choice("ABDEFGHJLNPQRSTUWXYZ") for _ in range(2))
    return area + str(RNG.randint(1, 29)) + " " + tail


def plate_uk():
    letters = "ABCDEFGHJKLMNOPRSTUVWXY"
    age = RNG.choice(list(range(2, 25)) + list(range(51, 75)))
    return RNG.choice(letters) + RNG.choice(letters) + f"{age:02}" + "".join(RNG.choice("ABCDEFGHJKLMNOPRSTUVWXYZ") for _ in range(3))


def itin():
    group = RNG.choice(list(range(50, 66)) + list(range(70, 89)) + [90, 91, 92, 94, 95, 99])
    return "9" + pattern("99") + str(group) + pattern("9999")


def ein():
    return until(lambda: pattern("999999999"), lambda v: std("us.ein").is_valid(v[:2] + "-" + v[2:]) and int(v[:2]) not in (0, 7, 8, 9, 17, 18, 19, 28, 29, 49, 69, 70, 78, 79, 89, 96, 97))


def cnpj_alphanumeric():
    body = "".join(RNG.choice("ABCDEFGHIJKLMNPQRSTUVWXYZ" + DIGITS) for _ in range(11)) + RNG.choice(UPPER)
    for factors in ([5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2], [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]):
        rest = sum((ord(c) - 48) * f for c, f in zip(body, factors)) % 11
        body += str(0 if rest < 2 else 11 - rest)
    return body


def rut():
    return until(lambda: RNG.choice("12") + pattern("9999999") + RNG.choice(DIGITS + "K"), std("cl.rut").is_valid)


def brn():
    def good(v):
        total = weights(v, [1, 3, 7, 1, 3, 7, 1, 3, 5]) + int(v[8]) * 5 // 10
        return std("kr.brn").is_valid(v) and (10 - total % 10) % 10 == int(v[9])

    return until(lambda: str(RNG.randint(101, 899)) + f"{RNG.randint(1, 89):02}" + pattern("99999"), good)


# --- the table ----------------------------------------------------------------------------------------------------------------
# detector, hot word, maker, forms that count by themselves, forms that need the word, whether a changed last character is wrong
S, C, W = "structure", "checksum", "weak"
TABLE = [
    ("US_BANK_ROUTING_MICR", "routing number", by("us.rtn", "999999999", lambda v: int(v[:2]) in list(range(1, 13)) + list(range(21, 33)) + list(range(61, 73)) + [80]), [], [plain], C),
    ("US_HEALTHCARE_NPI", "npi", npi, [groups(4, 3, 3, sep="-")], [plain], C),
    ("US_INDIVIDUAL_TAXPAYER_IDENTIFICATION_NUMBER", "itin", itin, [groups(3, 2, 4, sep="-"), groups(3, 2, 4)], [plain], None),
    ("US_EMPLOYER_IDENTIFICATION_NUMBER", "ein", ein, [], [groups(2, 7, sep="-")], None),
    ("US_DEA_NUMBER", "dea", dea, [], [plain], C),
    ("US_MEDICARE_BENEFICIARY_ID_NUMBER", "mbi", mbi, [plain, groups(4, 3, 4, sep="-")], [], None),
    ("US_PASSPORT", "passport number", lambda: pattern("A99999999"), [], [plain], None),
    ("US_DRIVERS_LICENSE_NUMBER", "driver license", lambda: pattern("A9999999"), [], [plain], None),
    ("US_BANK_ACCOUNT_NUMBER", "bank account", lambda: RNG.choice("123456789") + pattern("99999999999"), [], [plain], None),
    ("CANADA_SOCIAL_INSURANCE_NUMBER", "sin", by("ca.sin", "999999999", lambda v: v[0] not in "08"), [groups(3, 3, 3, sep="-"), groups(3, 3, 3)], [plain], C),
    ("UK_NATIONAL_HEALTH_SERVICE_NUMBER", "nhs", by("gb.nhs", "9999999999"), [groups(3, 3, 4)], [plain], C),
    ("UK_NATIONAL_INSURANCE_NUMBER", "nino", lambda: RNG.choice("ABCEHJ") + RNG.choice("ABCEHJ") + pattern("999999") + RNG.choice("ABCD"), [plain, groups(2, 2, 2, 2, 1)], [], None),
    ("UK_TAXPAYER_REFERENCE", "utr", by("gb.utr", "9999999999"), [], [plain, groups(5, 5)], C),
    ("UK_PASSPORT", "passport", lambda: pattern("999999999"), [], [plain], None),
    ("UK_DRIVERS_LICENSE_NUMBER", "driving licence", driver_uk, [plain], [], None),
    ("UK_POSTCODE", "postcode", postcode, [plain], [lambda v: v.replace(" ", "")], None),
    ("UK_VEHICLE_REGISTRATION", "number plate", plate_uk, [groups(4, 3)], [plain], None),
    ("AUSTRALIA_TAX_FILE_NUMBER", "tfn", by("au.tfn", "999999999"), [], [plain, groups(3, 3, 3)], C),
    ("AUSTRALIA_MEDICARE_NUMBER", "medicare", medicare, [groups(4, 5, 1)], [plain], None),
    ("AUSTRALIA_BUSINESS_NUMBER", "abn", by("au.abn", "99999999999", lambda v: v[0] != "0"), [groups(2, 3, 3, 3)], [plain], C),
    ("AUSTRALIA_COMPANY_NUMBER", "acn", by("au.acn", "999999999"), [], [plain, groups(3, 3, 3)], C),
    ("INDIA_AADHAAR_INDIVIDUAL", "aadhaar", by("in_.aadhaar", "999999999999"), [groups(4, 4, 4), groups(4, 4, 4, sep="-")], [plain], C),
    ("INDIA_PAN_INDIVIDUAL", "pan", pan, [plain], [], None),
    ("INDIA_GST_INDIVIDUAL", "gstin", gstin, [plain], [], None),
    ("INDIA_PASSPORT", "passport", lambda: RNG.choice("ABCJKLMNP") + RNG.choice("123456789") + pattern("99999") + RNG.choice("123456789"), [], [plain], None),
    ("INDIA_VOTER_ID", "voter id", by("in_.epic", "AAA9999999"), [], [plain], None),
    ("INDIA_VEHICLE_REGISTRATION", "vehicle number", lambda: RNG.choice(["KA", "MH", "DL", "TN", "UP"]) + f"{RNG.randint(1, 60):02}" + pattern("AA") + f"{RNG.randint(1, 9999):04}", [plain, groups(2, 2, 2, 4)], [], None),
    ("SPAIN_NIF_NUMBER", "dni", by("es.dni", "99999999A", lambda v: int(v[:8]) > 0), [plain, groups(8, 1, sep="-")], [], S),
    ("SPAIN_NIE_NUMBER", "nie", by("es.nie", "A9999999A"), [plain, groups(1, 7, 1, sep="-")], [], S),
    ("SPAIN_PASSPORT", "pasaporte", lambda: pattern("AAA999999"), [], [plain], None),
    ("ITALY_FISCAL_CODE", "codice fiscale", codice_fiscale, [plain], [], S),
    ("ITALY_VAT_NUMBER", "partita iva", partita_iva, [lambda v: "IT" + v, lambda v: "IT " + v], [plain], C),
    ("ITALY_PASSPORT", "passaporto", lambda: pattern("AA9999999"), [], [plain], None),
    ("ITALY_IDENTITY_CARD", "carta d'identità", lambda: pattern("AA99999AA"), [], [plain], None),
    ("ITALY_DRIVERS_LICENSE_NUMBER", "patente", lambda: pattern("AA9999999A"), [], [plain], None),
    ("FRANCE_NIR", "nir", nir, [plain, groups(1, 2, 2, 2, 3, 3, 2)], [], S),
    ("FRANCE_CNI", "carte d'identité", lambda: pattern("99") + f"{RNG.randint(1, 12):02}" + pattern("99999999"), [], [plain], None),
    ("NETHERLANDS_BSN_NUMBER", "bsn", by("nl.bsn", "999999999"), [groups(4, 2, 3, sep=".")], [plain], C),
    ("GERMANY_TAXPAYER_IDENTIFICATION_NUMBER", "steuer-id", by("de.idnr", "99999999999", lambda v: not any(d * 3 in v[:10] for d in DIGITS)), [groups(2, 3, 3, 3)], [plain], C),
    ("GERMANY_IDENTITY_CARD_NUMBER", "personalausweis", lambda: german_card("LMNPRTVWXY"), [plain, lambda v: v + "D"], [lambda v: v[:9]], None),
    ("GERMANY_PASSPORT", "reisepass", lambda: german_card("CFGHJK"), [plain], [lambda v: v[:9]], None),
    ("GERMANY_SOCIAL_SECURITY_NUMBER", "sozialversicherung", rvnr, [plain, groups(2, 6, 1, 3)], [], S),
    ("GERMANY_VAT_NUMBER", "ust-id", by("de.vat", "999999999", lambda v: v[0] != "0"), [lambda v: "DE" + v, lambda v: "DE " + v, template("DE ### ### ###")], [], None),
    ("GERMANY_HEALTH_INSURANCE_NUMBER", "kvnr", kvnr, [], [plain], C),
    ("GERMANY_TAX_NUMBER", "steuernummer", lambda: pattern("9999999999"), [groups(2, 3, 5, sep="/")], [], None),
    ("GERMANY_PHYSICIAN_NUMBER", "lanr", lambda: (lambda b: b + str((10 - weights(b, [4, 9] * 3) % 10) % 10) + "01")(RNG.choice("123456789") + pattern("99999")), [], [plain], None),
    ("GERMANY_PRACTICE_NUMBER", "bsnr", lambda: f"{RNG.randint(1, 98):02}" + pattern("9999999"), [], [plain], None),
    ("GERMANY_COMMERCIAL_REGISTER_NUMBER", "register", lambda: RNG.choice(["HRA", "HRB"]) + " " + RNG.choice("123456789") + pattern("99999"), [plain, lambda v: v.replace(" ", "")], [], None),
    ("GERMANY_DRIVERS_LICENSE_NUMBER", "führerschein", lambda: pattern("A99XXXXXX9") + RNG.choice("123456789"), [], [plain], None),
    ("GERMANY_VEHICLE_REGISTRATION", "kennzeichen", lambda: RNG.choice(["B-AB ", "M-X ", "HH-KL ", "MIL-EF "]) + RNG.choice("123456789") + pattern("99"), [plain], [lambda v: v.replace("-", " ")], None),
    ("GERMANY_POSTAL_CODE", "plz", lambda: str(RNG.randint(10115, 99998)), [], [plain], None),
    ("POLAND_PESEL_NUMBER", "pesel", pesel, [], [plain], C),
    ("POLAND_NATIONAL_ID_NUMBER", "dowód osobisty", polish_card, [], [plain, groups(3, 6)], C),
    ("FINLAND_NATIONAL_ID_NUMBER", "hetu", hetu, [plain, lambda v: v[:6] + "Y" + v[7:]], [], S),
    ("SWEDEN_NATIONAL_ID_NUMBER", "personnummer", personnummer, [groups(6, 4, sep="-"), lambda v: "19" + v[:6] + "-" + v[6:]], [plain, lambda v: "19" + v], C),
    ("SWEDEN_ORGANISATION_NUMBER", "organisationsnummer", orgnr, [groups(6, 4, sep="-")], [plain], C),
    ("NORWAY_NI_NUMBER", "fødselsnummer", fnr, [groups(6, 5)], [plain], C),
    ("DENMARK_CPR_NUMBER", "cpr", cpr, [groups(6, 4, sep="-")], [plain], None),
    ("BRAZIL_CPF_NUMBER", "cpf", by("br.cpf", "99999999999"), [template("###.###.###-##")], [plain], C),
    ("BRAZIL_CNPJ_NUMBER", "cnpj", lambda: until(lambda: pattern("99999999") + "0001" + pattern("99"), std("br.cnpj").is_valid), [template("##.###.###/####-##")], [plain], C),
    ("BRAZIL_CNPJ_NUMBER", "cnpj", cnpj_alphanumeric, [template("##.###.###/####-##")], [plain], C),
    ("MEXICO_CURP_NUMBER", "curp", curp, [plain], [], S),
    ("CHILE_CDI_NUMBER", "rut", rut, [template("##.###.###-#")], [template("########-#"), plain], C),
    ("ARGENTINA_DNI_NUMBER", "dni", lambda: RNG.choice("1234") + pattern("9999999"), [], [plain, template("##.###.###")], None),
    ("SINGAPORE_NATIONAL_REGISTRATION_ID_NUMBER", "nric", nric, [plain], [], None),
    ("SINGAPORE_UEN", "uen", uen, [plain], [], S),
    ("KOREA_RRN", "resident registration", rrn, [groups(6, 7, sep="-")], [plain], None),
    ("KOREA_FRN", "alien registration", frn, [groups(6, 7, sep="-")], [plain], None),
    ("KOREA_BUSINESS_NUMBER", "사업자등록번호", brn, [groups(3, 2, 5, sep="-")], [plain], C),
    ("KOREA_DRIVERS_LICENSE_NUMBER", "운전면허", lambda: str(RNG.randint(11, 28)) + pattern("9999999999"), [groups(2, 2, 6, 2, sep="-")], [plain], None),
    ("KOREA_PASSPORT", "여권", lambda: RNG.choice("MSRD") + pattern("99999999"), [], [plain], None),
    ("JAPAN_INDIVIDUAL_NUMBER", "マイナンバー", my_number, [], [plain, groups(4, 4, 4)], C),
    ("THAILAND_NATIONAL_ID_NUMBER", "citizen id", thai, [groups(1, 4, 5, 2, 1, sep="-")], [plain], C),
    ("PHILIPPINES_TIN", "tin", ph_tin, [], [plain, groups(3, 3, 3, sep="-")], C),
    ("TURKEY_ID_NUMBER", "tc kimlik", by("tr.tckimlik", "99999999999"), [], [plain], C),
    ("TURKEY_LICENSE_PLATE", "plaka", lambda: f"{RNG.randint(1, 81):02} " + RNG.choice("ABCDEFGHJKLMNPRSTUVYZ") + RNG.choice("ABCDEFGHJKLMNPRSTUVYZ") + " " + pattern("999"), [], [plain], None),
    ("SOUTH_AFRICA_ID_NUMBER", "sa id", za, [groups(6, 4, 3)], [plain], C),
    ("NIGERIA_NIN", "nin", lambda: RNG.choice("123456789") + pattern("9999999999"), [], [plain], None),
    ("NIGERIA_VEHICLE_REGISTRATION", "plate number", lambda: pattern("AAA-999AA"), [plain], [], None),
    ("IMEI_HARDWARE_ID", "imei", by("imei", "999999999999999"), [groups(2, 6, 6, 1, sep="-")], [plain], C),
    ("VEHICLE_IDENTIFICATION_NUMBER", "vin", vin, [plain], [], None),
    ("CRYPTO_ADDRESS", "wallet", bitcoin, [plain], [], S),
    ("SWIFT_CODE", "swift", lambda: pattern("AAAA") + RNG.choice(["DE", "GB", "US", "FR", "JP", "CH"]) + pattern("XX") + RNG.choice(["", "XXX", pattern("999")]), [], [plain], None),
]

WITH_WORD = ["{w}: «{v}»", "{w}={v0}«{v}»", '{{"{k}": "«{v}»"}}', "The {w} is «{v}».", "UPDATE t SET {k} = '«{v}»' WHERE id = 7", "{w}\t«{v}»\tok", "<{k}>«{v}»</{k}>", "见{w}：«{v}»。", "level=info {k}=«{v}» status=200"]
BY_ITSELF = ["«{v}»", "id=«{v}»;", '["«{v}»", null]', "See «{v}» for more.", "(«{v}»)", "note é«{v}»é", "a,«{v}»,b", "INSERT INTO t VALUES (1, '«{v}»')", "«{v}»\\n"]
GLUED = ["9_{v}", "{v}_x", "_{v}", "{v}_"]

NOISE = [
    "order 7781-22-991 shipped", "v2.14.0-rc.1", "build 20240115.1432", "10:22:33.123456+00", "1705314153", "1705314153123",
    "550e8400-e29b-41d4-a716-446655440000", "d41d8cd98f00b204e9800998ecf8427e", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "INV-2024-000123", "SKU ABC-12345-XL", "TICKET-99812", "lat=48.137154, lon=11.576124", "$1,234,567.89", "100%", "10.5 GB", "error 0x80070005",
    "commit 8c4f2e1a9b", "HTTP/1.1 200 OK", "GET /api/v1/items/12345 HTTP/1.1", "foo.bar.baz(1, 2)", "std::vec::Vec", "package-lock.json", "x86_64-unknown-linux-gnu",
    "CREATE TABLE t (id bigint, v text)", "row 123456 of 654321", "a1b2c3", "test-token-123", "ISBN 978-3-16-148410-0", "#ff8800", "1e-9", "3.14159265358979", "12:34:56", "192 x 168",
    "Windows NT 10.0; Win64; x64", "utf-8", "en_US.UTF-8", "port 5432", "pid 48213", "AAAA", "MD5", "B2B", "COVID19", "H2O", "MP3", "A4", "Q3 2023", "FY2024", "T-1000", "R2D2",
]


# Forms whose last characters no checksum covers.
UNCHECKED_END = {"PHILIPPINES_TIN": [lambda v: groups(3, 3, 3, sep="-")(v) + "-000", lambda v: groups(3, 3, 3, sep="-")(v) + "-12345"]}

# Detectors whose values have no generator here: written by hand from the specifications.
OTHERS = [
    ("EMAIL_ADDRESS", S, ["«ada@example.com»", "<«a.b+c@mail.example.org»>", '{"mail": "«x_y@sub.example.co.uk»"}', "mailto:«bob@xn--80ak6aa92e.com»", "é«a@b.co»é", "to «o'brien@example.ie»."]),
    ("EMAIL_ADDRESS", "near", ["ada@", "@example.com", "ada@example", "ada@@example.com", "user@localhost", "a @b.co"]),
    ("CREDIT_CARD_NUMBER", S, ["«4111111111111111»", "card «4111 1111 1111 1111».", "«5555-5555-5555-4444»", '"«378282246310005»"', "«3782 822463 10005»", "«6011111111111117»,x", "«3566002020360505»"]),
    ("CREDIT_CARD_NUMBER", "near", ["4111111111111112", "x4111111111111111", "41111111111111110", "4111-1111 1111-1111x", "1234567812345670"]),
    ("IBAN_CODE", S, ["«DE89370400440532013000»", "«GB82 WEST 1234 5698 7654 32»", "«FR1420041010050500013M02606»;", "iban=«NL91ABNA0417164300»", "é«CH9300762011623852957»é"]),
    ("IBAN_CODE", "near", ["DE89370400440532013001", "DE8937040044053201300", "XX89370400440532013000", "xDE89370400440532013000"]),
    ("US_SOCIAL_SECURITY_NUMBER", S, ["«536-22-1234»", "ssn «536 22 1234».", "('«219-09-9998»')"]),
    ("US_SOCIAL_SECURITY_NUMBER", W, ["ssn: «536221234»", '{"social_security": "«536221234»"}']),
    ("US_SOCIAL_SECURITY_NUMBER", "near", ["000-22-1234", "666-22-1234", "900-22-1234", "536-00-1234", "536-22-0000", "536-22-12345", "536221234", "536-22 1234"]),
    ("PHONE_NUMBER", S, ["«+14155550132»", "call «(415) 555-0132»", "«+44 20 7946 0958».", "tel «+49 30 901820»"]),
    ("PHONE_NUMBER", "near", ["+1415555", "2024-01-15", "1705314153", "555-01"]),
    ("IP_ADDRESS", S, ["«10.0.0.1»", "«192.168.0.0/16»", "[«2001:db8::1»]:80", "«fe80::1%eth0»", "«::1»", "src=«203.0.113.7» dst=«198.51.100.9»"]),
    ("IP_ADDRESS", "near", ["256.1.1.1", "1.2.3", "1.2.3.4.5", "10:22:33", "std::abs", "a::b"]),
    ("MAC_ADDRESS", S, ["«00:1A:2b:3C:4D:5E»", "«00-1a-2b-3c-4d-5e».", "ether «02:42:ac:11:00:02»"]),
    ("MAC_ADDRESS", "near", ["00:1A:2B:3C:4D", "00:1A:2B:3C:4D:5E:6F", "00:1A-2B:3C:4D:5E", "00:00:00:00:00:00"]),
    ("URL", S, ["«https://www.example.com/a?b=1#c»", '"«http://example.org»"', "see «https://example.com/x», then", "(«https://en.wikipedia.org/wiki/Rust_(language)»)", "«www.example.com»", "«ftp://files.example.org/pub/»", "«http://localhost:8080/x»", "«google.co.il»", "«http://10.0.0.1:80/»"]),
    ("URL", "near", ["http://intranet", "www.example", "std::fmt", "main.rs", "e.g. this", "object.member", "........"]),
    ("DOMAIN_NAME", S, ["«example.com»", "«mail.example.org».", "«bbc.co.uk»", "https://«www.example.de»/x", "«xn--80ak6aa92e.com»"]),
    ("DOMAIN_NAME", W, ["host: «db1.internal.cloud»", "domain=«example.io»"]),
    ("DOMAIN_NAME", "near", ["bob@example.com", "self.id", "README.md", "log.info(x)", "a_b.com", "1.5", "example.comx"]),
    ("DATE", S, ["«2024-02-29»", "Today is «21.5.21»", "«5-MAY-2021»", "«12/31/1999»", "«May 5, 2021»", "at «2024-01-15T10:22:33Z»"]),
    ("DATE", "near", ["2023-02-29", "32.1.2021", "1.2.3", "10.0.0.1", "2024-13-01", "May 2021x"]),
    ("JSON_WEB_TOKEN", S, ["«eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-DEF_1»", "t=«eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc»;"]),
    ("JSON_WEB_TOKEN", "near", ["eyJ.eyJ.", "eyJhbGciOiJIUzI1NiJ9"]),
    ("AWS_CREDENTIALS", S, ["«AKIAIOSFODNN7EXAMPLE»", "id=«ASIAIOSFODNN7EXAMPLE»,"]),
    ("AWS_CREDENTIALS", W, ["aws_secret_access_key = «wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»"]),
    ("AWS_CREDENTIALS", "near", ["AKIAIOSFODNN7EXAMPL", "akiaiosfodnn7example", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"]),
    ("CRYPTO_ADDRESS", S, ["«bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4»", "«0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed»", "«bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0»"]),
    ("CRYPTO_ADDRESS", W, ["eth «0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed»"]),
    ("CRYPTO_ADDRESS", "near", ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"]),
]


def line(detector, kind, text):
    print(detector, kind, text, sep="\t")


def spread(detector, kind, templates, word, values):
    for number, value in enumerate(values):
        for shift in (0, 4):
            text = templates[(number + shift) % len(templates)]
            line(detector, kind, text.format(w=word, k=word.replace(" ", "_").replace("'", "_"), v=value, v0=""))


def changed(value):
    """Another last digit or letter."""
    last = value[-1]
    alphabet = DIGITS if last.isdigit() else "ABCDEFGHJKLMNPQRSTUVWXYZ"
    return value[:-1] + RNG.choice([c for c in alphabet if c != last])


def main():
    for detector, word, make, alone, called, check in TABLE:
        for write in alone:
            values = [write(make()) for _ in range(COUNT)]
            spread(detector, S, BY_ITSELF, word, values)
            for value in values[:3]:
                for text in GLUED:
                    # What is glued here is a prefix, and the number behind its blank stands alone: bare, with a right check digit.
                    prefix, _, rest = value.partition(" ")
                    bare = prefix.isalpha() and rest.isdigit() and check == C and text.startswith(("9_", "_"))
                    line(detector, "bare" if bare else "near", text.format(v=value))
                if check == S:
                    line(detector, "near", f"{word}: {changed(value)}")
        kind = C if check else W
        for write in called:
            values = [write(make()) for _ in range(COUNT)]
            spread(detector, kind, WITH_WORD, word, values)
            for value in values[:4]:
                line(detector, "bare", f"{value}")
                line(detector, "bare", f"count {value} items")
                line(detector, "near", f"{word} _{value}")
                if check == C:
                    line(detector, "near", f"{word}: {changed(value)}")
        for write in UNCHECKED_END.get(detector, []):
            for _ in range(COUNT):
                line(detector, kind, f"{word}: «{write(make())}»")
    for detector, kind, texts in OTHERS:
        for text in texts:
            line(detector, kind, text)
    for text in NOISE:
        line("*", "noise", text)


main()

"""Presidio's pattern recognizers over a file: `presidio.py FILE BYTES` prints bytes per second of CPU time and matches as JSON.

Pattern recognizers only, called one after another on each line: no language model, which would cost many times more.
"""

import json
import sys
import time

import tldextract
from presidio_analyzer import predefined_recognizers as known

# Its e-mail recognizer would ask the network for a list of domains; the one that it ships with does.
tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())

NAMES = [
    "CreditCardRecognizer", "CryptoRecognizer", "DateRecognizer", "EmailRecognizer", "IbanRecognizer", "IpRecognizer", "PhoneRecognizer",
    "UrlRecognizer", "UsSsnRecognizer", "UsBankRecognizer", "UsLicenseRecognizer", "UsItinRecognizer", "UsPassportRecognizer", "NhsRecognizer",
]


def main():
    path, size = sys.argv[1], int(sys.argv[2])
    recognizers = [getattr(known, name)() for name in NAMES if hasattr(known, name)]
    with open(path, encoding="utf-8") as file:
        lines = file.read(size).splitlines()
    for recognizer in recognizers:
        recognizer.analyze("somebody@example.com, +1 415 555 0101", recognizer.supported_entities, None)
    found = 0
    begun = time.thread_time()
    for line in lines:
        for recognizer in recognizers:
            found += len(recognizer.analyze(line, recognizer.supported_entities, None) or [])
    spent = time.thread_time() - begun
    print(json.dumps({"mb_per_second": sum(map(len, lines)) / spent / 1e6, "matches": found, "patterns": len(recognizers)}))


if __name__ == "__main__":
    main()

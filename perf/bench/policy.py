"""The policy that the benchmarks run under: the demo's redaction rule and guardrail, and switches for what is compared."""

HEAD = """
[[redaction]]
name = "personal-data"
detect = ["EMAIL_ADDRESS", "CREDIT_CARD_NUMBER", "US_SOCIAL_SECURITY_NUMBER", "IBAN_CODE", "PHONE_NUMBER"]
[[guardrail]]
name = "no-accidents"
rules = [{ deny = "delete-without-where" }, { deny = "update-without-where" }]
[[group]]
name = "engineering"
[[user]]
name = "alice"
groups = ["engineering"]
"""


def connection(name, port, agent=False, redact=True, record="statements", password="target-secret", database="bench", user="postgres"):
    """One connection to a server on this machine."""
    lines = [
        "[[connection]]", f'name = "{name}"', 'type = "postgres"', 'pool = "local"' if agent else 'via = "direct"',
        'host = "127.0.0.1"', f"port = {port}", f'database = "{database}"', 'tls = "disable"', f'username = "literal:{user}"',
        f'password = "literal:{password}"', 'groups = ["engineering"]', f'record = "{record}"',
    ]
    if redact:
        lines.append('redact = ["personal-data"]')
    lines.append('guardrails = ["no-accidents"]')
    return "\n".join(lines) + "\n"


def policy(*connections, extra=""):
    """The whole file."""
    return HEAD + extra + "".join(connections)

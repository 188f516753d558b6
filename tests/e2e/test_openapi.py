"""The API against its own description: schemathesis asks every route for what the document allows and for what it does not."""

import os
import subprocess
import sys

import pytest

from harness.plane import Plane

# A bounded run; `SLUICE_TESTS_SCHEMATHESIS_SECONDS=1800` makes a long one.
SECONDS = int(os.environ.get("SLUICE_TESTS_SCHEMATHESIS_SECONDS", "60"))
CHECKS = ",".join(["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
                   "response_schema_conformance", "unsupported_method", "allow_header_conformance", "ignored_auth"])
POLICY = """
[[pool]]
name = "office"
[[user]]
name = "alice"
email = "alice@example.com"
groups = ["engineering"]
[[user]]
name = "robot"
type = "service"
roles = ["admin"]
[[redaction]]
name = "personal"
detect = ["EMAIL_ADDRESS"]
[[guardrail]]
name = "careful"
rules = [{ deny = "delete-without-where" }]
[[connection]]
name = "orders"
type = "postgres"
pool = "office"
host = "db.internal"
username = "env:ORDERS_USER"
password = "literal:hunter2"
groups = ["engineering"]
redact = ["personal"]
access_review = { reviewers = ["dba"] }
"""


@pytest.mark.timeout(SECONDS + 240)
def test_every_answer_is_one_that_the_description_names(tmp_path):
    plane = Plane(POLICY, SLUICE_CONTROLPLANE_REQUESTS_PER_MINUTE="0")
    try:
        command = [
            sys.executable, "-m", "schemathesis.cli", "run", f"{plane.url}/api/openapi.json", "--header", f"Authorization: Bearer {plane.admin}",
            "--checks", CHECKS, "--max-time", str(SECONDS), "--max-redirects", "0", "--seed", "20261122", "--no-color",
            "--suppress-health-check", "all", "--request-timeout", "20", "--continue-on-failure",
            # It takes a generation up to 2^53, after which no other route could change anything.
            "--exclude-path", "/api/policy/republish",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=SECONDS + 200)
        assert done.returncode == 0, (done.stdout + done.stderr)[-20000:]
        assert "No issues found" in done.stdout or "passed" in done.stdout, done.stdout[-3000:]
        # It still serves, and nothing in its log says that a request failed inside.
        assert plane.call("GET", "/ready")[0] == 200
        assert "a request failed" not in plane.log()
    finally:
        plane.close()

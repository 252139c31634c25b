"""The service conforms to its /openapi.json: schemathesis generates requests to every route, on fakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def test_every_response_is_documented_and_none_is_a_server_error(fakes: str, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{fakes}/openapi.json", "--checks", CHECKS,
        "--phases", "coverage,fuzzing", "--max-examples", "10", "--request-timeout", "30", "--continue-on-failure",
        "--seed", "1",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-5000:]

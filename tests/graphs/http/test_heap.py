"""Memory of large bodies leaves the process with them."""

from __future__ import annotations

import subprocess
import sys

import pytest

UPLOADS = """
import sys, threading
from graphs.http.heap import return_large_blocks

if sys.argv[1] == "returned":
    return_large_blocks()

def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

def upload():
    for _ in range(3):
        body = bytearray(b"x") * (8 << 20)
        kept.append(bytearray(600))  # lies behind the body where both are in one heap
        del body

kept, before = [], resident_mib()
for _ in range(4):
    thread = threading.Thread(target=upload)
    thread.start()
    thread.join()
print(resident_mib() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_returns_large_blocks_keeps_nothing_of_a_body() -> None:
    ran = subprocess.run([sys.executable, "-c", UPLOADS, "returned"], capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 4

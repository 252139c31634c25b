"""The environment of all tests, set before anything imports Ray, which reads it once."""

from __future__ import annotations

import os

os.environ.setdefault("RAY_AUTH_MODE", "token")

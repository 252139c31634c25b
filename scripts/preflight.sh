#!/bin/sh
# Checks the requirements of `make setup` and names what is missing, before a build fails.
set -eu
fail() { printf 'parley: %s\n' "$1" >&2; exit 1; }

"$PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null ||
  fail "$PYTHON is not Python 3.11. Install python3.11 and python3.11-venv, or set its path: make setup PYTHON=/path/to/python3.11"
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
  fail "Python has no venv module. On Debian: apt install python3-venv python3-dev"
for tool in gcc g++ cmake make; do
  command -v "$tool" >/dev/null || fail "$tool is missing; it is needed to build llama-cpp-python. On Debian: apt install build-essential cmake"
done
free_kib=$(df -Pk . | awk 'NR == 2 { print $4 }')
need_gib=12
[ "$free_kib" -ge $((need_gib * 1024 * 1024)) ] || [ -x .venv/bin/uv ] ||
  fail "only $((free_kib / 1024 / 1024)) GiB free here; the environment and its cache need about $need_gib GiB. Free some, or set UV_CACHE_DIR to a folder on another disk"

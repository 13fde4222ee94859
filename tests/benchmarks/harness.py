"What every benchmark shares: a row of the table, the shortest of several calls, and a peer's call in its own environment."
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
SHARED_DATA = Path(os.environ.get("AURORA_NB_TEST_DATA", PROJECT.parent / "shared/data"))
PEERS_PYTHON = Path(os.environ.get("AURORA_NB_PEERS_PYTHON", PROJECT / ".venv-peers/bin/python"))


class Row(NamedTuple):
    "One line of the table; `ratio` is how many times less ours costs than the other."
    what: str            # What was done
    ours: float          # Ours, in `unit`
    other: float         # The peer's or the floor's, in `unit`
    other_name: str      # Which peer or floor
    target: str = ""     # What is asked of the ratio, e.g. ">= 4" (other / ours) or "within 1.3" (ours / other)
    unit: str = "s"
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.other / self.ours

    @property
    def met(self) -> bool | None:
        "Whether the target is met; None without one."
        if not self.target: return None
        word, number = self.target.split()
        return self.ratio >= float(number) if word == ">=" else self.ours <= float(number) * self.other


def best_of(function, times=3):
    "Shortest wall time of `times` calls in seconds, and what the last call returned."
    shortest, result = float("inf"), None
    for _ in range(times):
        result = None  # what the call before returned must not count as memory in use
        start = time.perf_counter()
        result = function()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest, result


def peak_memory_mb() -> float:
    "Peak resident memory of this process in MB."
    if sys.platform == "linux":  # ru_maxrss begins at what the parent used before exec
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 1e3 * 1.024 for line in file if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def in_python(code: str, *arguments, python=sys.executable, **environment) -> dict:
    "Run `code` in a fresh process of `python`; it prints a JSON object as its last line, which is returned."
    done = subprocess.run([str(python), "-c", code, *map(str, arguments)], capture_output=True, text=True,
                          env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"} | environment)
    if done.returncode: raise RuntimeError(done.stderr[-3000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def peers_ready() -> bool:
    "Whether the peers' environment is there; `make bench` makes it."
    return PEERS_PYTHON.is_file()

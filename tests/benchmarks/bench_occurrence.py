"Counting a season: 250 000 one-minute frames of 400 cells, against one look at the booleans and against xarray's groupby."
from collections.abc import Iterator

from harness import Row, in_python

SEASON = """
import json, resource, time
import numpy as np, xarray as xr
from aurora_nb.occurrence.rates import count_occurrence, night_of, occurrence_rate
frames, cells = 250_000, 400
rng = np.random.default_rng(0)
lit = np.empty((frames, cells), bool)
for start in range(0, frames, 10_000): lit[start:start + 10_000] = rng.random((10_000, cells), np.float32) < 0.2
moments = np.datetime64('2014-01-01', 'ns') + np.arange(frames) * np.timedelta64(1, 'm')
night = night_of(moments, -94.6)
local_time = (np.arange(frames) / 60 - 7) % 24
dark = np.abs(local_time - 12) > 5
auroral = xr.DataArray(lit, dims=('time', 'cell_index'), coords={'time': moments})
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
"""
OURS = SEASON + """
best = rest = 1e9
for _ in range(3):
    start = time.perf_counter()
    counts = count_occurrence(auroral, dark, local_time, night)
    middle = time.perf_counter()
    rates = occurrence_rate(counts)
    best, rest = min(best, middle - start), min(rest, time.perf_counter() - middle)
start = time.perf_counter(); lit.view('u8').sum(); floor = time.perf_counter() - start
print(json.dumps({'count': best, 'rate': rest, 'peak': peak(), 'floor': floor, 'lit': int(counts.auroral_count.sum())}))
"""
GROUPBY = SEASON + """
start = time.perf_counter()
group = xr.DataArray((np.unique(night, return_inverse=True)[1] * 24 + local_time.astype(int)), dims='time', name='group')
counts = auroral[dark].astype('i4').groupby(group[dark]).sum()
print(json.dumps({'time': time.perf_counter() - start, 'peak': peak(), 'lit': int(counts.sum())}))
"""
PANDAS = SEASON + """
import pandas as pd
start = time.perf_counter()
group = np.unique(night, return_inverse=True)[1] * 24 + local_time.astype(int)
counts = pd.DataFrame(lit[dark]).groupby(group[dark]).sum()
print(json.dumps({'time': time.perf_counter() - start, 'peak': peak(), 'lit': int(counts.to_numpy().sum())}))
"""


def rows() -> Iterator[Row]:
    "Counting, intervals and memory; every way must count the same number of lit cell-frames."
    ours, by_xarray, by_pandas = in_python(OURS), in_python(GROUPBY), in_python(PANDAS)
    assert ours["lit"] == by_xarray["lit"] == by_pandas["lit"], (ours, by_xarray, by_pandas)
    whole = ours["count"] + ours["rate"]
    what = "occurrence map, 250 000 frames x 400 cells"
    yield Row(f"{what}: counts, rates and 1000 night-block resamples", whole, 2.0, "2 s asked for", ">= 1",
              note=f"counts {ours['count']:.2f} s, intervals {ours['rate']:.2f} s")
    yield Row(f"{what}: peak memory of the process", ours["peak"], 1000.0, "1 GB asked for", ">= 1", "MB",
              "includes the 100 MB of booleans and Python itself")
    yield Row(f"{what}: counts", ours["count"], by_pandas["time"], "pandas groupby", ">= 1",
              note=f"pandas peak {by_pandas['peak']:.0f} MB")
    yield Row(f"{what}: counts", ours["count"], by_xarray["time"], "xarray groupby", ">= 1",
              note=f"xarray peak {by_xarray['peak']:.0f} MB")
    yield Row(f"{what}: counts", ours["count"], ours["floor"], "reading the booleans once (floor)")

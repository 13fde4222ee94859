"Masks to maps: cells of 32,768 masks of 256 x 256 pixels, against a plain sum over the same array and against `cell_mean`."
from collections.abc import Iterator

from harness import Row, in_python

MASKS = """
import json, resource, tempfile, time
from pathlib import Path
import numpy as np, xarray as xr
from aurora_nb.geometry.cells import cell_mean, equal_area_cells
from aurora_nb.geometry.lens import lens_for_sky
from aurora_nb.geometry.skymap import skymap_from_lens
from aurora_nb.occurrence.masks import count_masks, mask_areas, mask_cells
frames = 32_768
skymap = skymap_from_lens(lens_for_sky((256, 256), radius=126), 'jbs', valid_from='2018-06-01')
cells = equal_area_cells(skymap, north='magnetic')
folder = tempfile.TemporaryDirectory()
masks = np.memmap(Path(folder.name) / 'masks.bool', bool, 'w+', shape=(frames, 256, 256))
rng = np.random.default_rng(0)
some = rng.random((512, 256, 256), np.float32) < 0.2
for start in range(0, frames, 512): masks[start:start + 512] = some
times = np.datetime64('2018-06-01', 'ns') + np.arange(frames) * np.timedelta64(1, 'm')
array = xr.DataArray(masks, dims=('time', 'y', 'x'), coords={'time': times}, attrs={'station': 'jbs'})
def best(function, times=3, clock=time.process_time):  # others may use the machine too: time of the processor
    shortest = 1e9
    for _ in range(times):
        start = clock(); result = function(); shortest = min(shortest, clock() - start)
    return shortest, result
plain, total = best(lambda: int(masks.sum()))
words, _ = best(lambda: masks.view(np.uint64).sum())
one, lit = best(lambda: mask_cells(array, cells, workers=1))
maps, counts = best(lambda: count_masks(array, cells, skymap))
wall, _ = best(lambda: mask_cells(array, cells), clock=time.perf_counter)
plain_wall, _ = best(lambda: int(masks.sum()), clock=time.perf_counter)
part = array[:512]
mean, by_mean = best(lambda: cell_mean(part, cells) >= 0.5, 2)
assert (by_mean.values == lit.values[:512]).all() and int(counts.auroral_count.sum()) == int(lit.sum())
half = part.astype('f4').where(np.isfinite(skymap.elevation)).astype('f2')
soft, _ = best(lambda: mask_cells(half, cells))
table, _ = best(lambda: mask_areas(part, skymap), 2)
print(json.dumps(dict(plain=plain, words=words, wall=wall, plain_wall=plain_wall, one=one, maps=maps, mean=mean * frames / 512, soft=soft * frames / 512,
                      table=table * frames / 512, gigabytes=masks.nbytes / 1e9)))
"""


def rows() -> Iterator[Row]:
    "Time for all frames; what took less of them (cell_mean, half precision, areas) is scaled up from 512."
    found = in_python(MASKS)
    what, size = "32,768 masks 256 x 256 (memory map)", found["gigabytes"]
    def speed(seconds): return f"{size / seconds:.1f} GB/s"

    yield Row(f"{what}: booleans of 400 cells", found["one"], found["plain"], "masks.sum()", "within 2",
              note=f"one thread, processor time: {speed(found['one'])} against {speed(found['plain'])}")
    yield Row(f"{what}: to counts by night, hour, cell", found["maps"], found["plain"], "masks.sum()", "within 2",
              note=f"all threads together: {speed(found['maps'])}; 250,000 masks take {found['maps'] * 250_000 / 32_768:.0f} s")
    yield Row(f"{what}: booleans of 400 cells", found["wall"], found["plain_wall"], "masks.sum()", "within 2",
              note="all cores, by the clock on the wall")
    yield Row(f"{what}: booleans of 400 cells", found["one"], found["words"], "sum of 64-bit words (memory itself)",
              note=f"one thread; memory gives {speed(found['words'])}")
    yield Row(f"{what}: booleans of 400 cells", found["one"], found["mean"], "cell_mean")
    yield Row("the same as half-precision probabilities", found["soft"], found["mean"], "cell_mean of booleans",
              note=f"{2 * size / found['soft']:.1f} GB/s")
    yield Row(f"{what}: areas and boundaries", found["table"], found["plain"], "masks.sum()",
              note=f"250,000 masks take {found['table'] * 250_000 / 32_768:.0f} s")

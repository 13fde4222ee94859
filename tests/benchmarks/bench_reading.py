"""Reading: an hour of THEMIS against asilib, pyucalgarysrs and bare decompression; memory; a lazy month; import time.

The hour is 60 minute files of 20 frames (.pgm.gz). Pixels come from the 23 real GAKO frames where they are at hand (rolled
sideways after each pass and given noise, so that they pack like real ones), else from a smooth sky with noise.
"""
import datetime
import gzip
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from harness import PEERS_PYTHON, SHARED_DATA, Row, best_of, in_python, peers_ready

START = datetime.datetime(2011, 4, 1, 8)
RAW_MB = 1200 * 256 * 256 * 2 / 1e6


def source_frames():
    "Frames (n, 256, 256) to make the hour of."
    path = SHARED_DATA / "themis_cdf/thg_l1_asf_gako_2011010617_v01.cdf"
    if path.is_file():
        from aurora_nb.readers.themis import ThemisCdf
        return ThemisCdf().read(path).image
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    sky = 3000 + 2000 * np.exp(-((y - 0.2 * x) / 0.1) ** 2) + np.random.default_rng(0).normal(0, 60, (23, 256, 256))
    return sky.astype("u2")


def minute_file(folder, frames, minute):
    "Write one minute in Calgary's stream layout."
    rng, start, parts = np.random.default_rng(minute), START + datetime.timedelta(minutes=minute), []
    for number in range(20):
        turn, frame = divmod(minute * 20 + number, len(frames))
        when = start + datetime.timedelta(seconds=3 * number, microseconds=int(rng.integers(1000, 60000)))
        ready = when + datetime.timedelta(microseconds=985_070)
        pixels = np.roll(frames[frame], turn, 1).astype("i4") + rng.integers(-20, 20, frames[frame].shape)
        keys = {"Project unique ID": "themis", "Site unique ID": "gako", "Imager unique ID": "themis20",
                "Mode unique ID": "full", "Geodetic latitude": "62.4070", "Geodetic Longitude": "-145.1580",
                "Exposure options": "WIDTH=512 HEIGHT=256 XBIN=2 YBIN=1 MSEC=999",
                "Image request start": f"{when:%Y-%m-%d %H:%M:%S.%f} UTC",
                "Image readout start": f"{ready:%Y-%m-%d %H:%M:%S.%f} UTC", "Exposure plus initial readout": "985.07 ms"}
        head = "P5\n" + "".join(f'#"{key}" {value}\n' for key, value in keys.items()) + "256 256\n65535\n"
        parts.append(head.encode() + pixels.clip(0, 65535).astype(">u2").tobytes())
    path = Path(folder, f"{start:%Y%m%d_%H%M}_gako_themis20_full.pgm.gz")
    path.write_bytes(gzip.compress(b"".join(parts), 6))
    return path


def make_hour(folder):
    "Sixty minute files."
    frames = source_frames()
    with ThreadPoolExecutor() as pool: return list(pool.map(lambda minute: minute_file(folder, frames, minute), range(60)))


def gunzip_alone(files):
    "What decompression costs with ISA-L and as many threads as the reader has."
    from aurora_nb.core import worker_count
    from isal import igzip
    with ThreadPoolExecutor(worker_count()) as pool: return sum(pool.map(lambda file: len(igzip.decompress(file.read_bytes())), files))


ASILIB = """
import json, sys, time, os, pathlib, contextlib, io, warnings
warnings.filterwarnings("ignore")
home, files, skymap = pathlib.Path(sys.argv[1]), sorted(pathlib.Path(sys.argv[2]).glob("*.pgm.gz")), sys.argv[3]
images, skymaps = (home / "asilib-data/themis" / kind / "gako" for kind in ("images", "skymaps"))
images.mkdir(parents=True); skymaps.mkdir(parents=True)
for file in files: (images / file.name).symlink_to(file)
(skymaps / pathlib.Path(skymap).name).symlink_to(skymap)
import asilib, asilib.asi
seconds = []
for _ in range(2):
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        data = asilib.asi.themis("GAKO", time_range=("2011-04-01T08:00:00", "2011-04-01T09:00:00"), alt=110).data
    seconds.append(time.perf_counter() - start)
print(json.dumps(dict(seconds=min(seconds), frames=len(data.time))))
"""
SRS = """
import json, sys, time, pathlib
from pyucalgarysrs.data.read._themis import read
files, seconds = [str(file) for file in sorted(pathlib.Path(sys.argv[1]).glob("*.pgm.gz"))], []
for _ in range(2):
    start = time.perf_counter()
    data = read(files)[0]
    seconds.append(time.perf_counter() - start)
print(json.dumps(dict(seconds=min(seconds), frames=data.shape[2])))
"""
MEMORY = """
import json, sys, resource
sys.path.insert(0, sys.argv[3])
from harness import peak_memory_mb
from aurora_nb.readers.base import open_allsky
before = peak_memory_mb()
frames = open_allsky(sys.argv[1], load=sys.argv[2] == "now")
print(json.dumps(dict(before=before, peak=peak_memory_mb(), frames=len(frames.time))))
"""
IMPORT = "import json, time; start = time.perf_counter(); import {}; print(json.dumps(dict(s=time.perf_counter() - start)))"


def best_in_python(code, *arguments, times=3, key="seconds", **options):
    "Smallest of several fresh processes."
    return min((in_python(code, *arguments, **options) for _ in range(times)), key=lambda found: found[key])


def peers(folder, skymap):
    "Seconds of the peers for the same files, each in a home folder of its own."
    found = {}
    with tempfile.TemporaryDirectory() as home:
        places = dict(HOME=home, XDG_CACHE_HOME=home, XDG_CONFIG_HOME=home, MPLCONFIGDIR=home)
        found["pyucalgarysrs"] = in_python(SRS, folder, python=PEERS_PYTHON, **places)
        if skymap.is_file(): found["asilib"] = in_python(ASILIB, home, folder, skymap, python=PEERS_PYTHON, **places)
    for name, row in found.items(): assert row["frames"] == 1200, (name, row)
    return {name: row["seconds"] for name, row in found.items()}


def month(folder, files=18_000):
    "A month of minute files: tiny frames, since only the number of files and of frames counts when opening lazily."
    start = datetime.datetime(2011, 4, 1)
    for minute in range(files):
        parts = []
        for second in range(0, 60, 3):
            when = start + datetime.timedelta(minutes=minute, seconds=second)
            parts.append(f'P5\n#"Site unique ID" gako\n#"Imager unique ID" themis20\n#"Exposure options" MSEC=999\n'
                         f'#"Image request start" {when:%Y-%m-%d %H:%M:%S.%f} UTC\n2 2\n65535\n'.encode() + bytes(8))
        day = Path(folder, f"{start + datetime.timedelta(minutes=minute):%Y/%m/%d}")
        if minute % 1440 == 0: day.mkdir(parents=True)
        name = f"{start + datetime.timedelta(minutes=minute):%Y%m%d_%H%M}_gako_themis20_full.pgm.gz"
        (day / name).write_bytes(gzip.compress(b"".join(parts), 1))


def rows():
    from aurora_nb.readers.base import open_allsky
    folder = Path(tempfile.mkdtemp(prefix="bench_reading_"))
    os.environ["AURORA_NB_CACHE_FOLDER"] = str(folder / "cache")
    hour = folder / "hour"
    hour.mkdir()
    try:
        files = make_hour(hour)
        seconds, frames = best_of(lambda: open_allsky(hour, load=True), 5)
        assert frames.image.shape == (1200, 256, 256) and not frames.problem_files
        del frames
        floor, _ = best_of(lambda: gunzip_alone(files), 5)
        skymap = SHARED_DATA / "themis_cdf/themis_skymap_gako_20110305-+_vXX.sav"
        targets = {"asilib": ">= 4", "pyucalgarysrs": ">= 3"}
        for name, other in (peers(hour, skymap) if peers_ready() else {}).items():
            yield Row("an hour of THEMIS, 60 pgm.gz, 1200 frames", seconds, other, name, targets[name])
        yield Row("an hour of THEMIS, 60 pgm.gz, 1200 frames", seconds, floor, "ISA-L alone, same threads", "within 1.3")
        here = Path(__file__).parent
        now = best_in_python(MEMORY, hour, "now", here, key="peak")
        yield Row("peak memory of that hour above the imports", now["peak"] - now["before"], RAW_MB, "raw frames",
                  "within 1.3", unit="MB", note=f"{now['peak']:.0f} MB in all")
        month(folder / "month")
        for note in ("first scan", "scan kept"):
            start = best_in_python(MEMORY, folder / "month", "later", here, times=1, key="peak")
            yield Row("memory of a month opened lazily, 18,000 files", start["peak"] - start["before"], 200, "the target",
                      "within 1", unit="MB", note=f"{start['frames']} frames, {note}; {start['peak']:.0f} MB with the imports")
        times = [best_of(lambda: open_allsky(folder / "month", load=False), 1)[0]]
        yield Row("a month opened again, 18,000 files", times[0], 18_000 * floor / 60, "unpacking it, ISA-L")
        base = best_in_python(IMPORT.format("xarray, dask.array"), key="s")["s"]
        ours = best_in_python(IMPORT.format("aurora_nb.readers.base"), key="s")["s"]
        yield Row("import aurora_nb.readers.base", ours, base, "xarray and dask.array", note="target: under 1.5 s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for row in rows(): print(row, f"x{row.ratio:.2f}", row.met, file=sys.stderr)

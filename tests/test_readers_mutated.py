"""Mutated files: no crash, no hang, no wrong frame returned silently.

Every frame that is returned from a mutated file must be bit-equal to a frame of the unmutated file with the time of that
frame, or the file must be listed in problem_files; and a file that lost frames must be listed. Excepted are only bytes that
no reader can check, because the format guards them by nothing; each format names them in `blind` (bytes that are never
overwritten) and `time_tolerance` (what the format's own redundancy leaves open). A new format is one more line of FORMATS.
"""
import gzip
import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import reader_samples
from aurora_nb.core import AuroraError
from aurora_nb.readers.base import open_allsky

# frames are larger than any piece that is taken out: a stream from which exactly one frame is taken is whole for any reader
SHAPE, COUNT = (12, 16), 12
PIXELS = np.random.default_rng(7).integers(3000, 3004, (COUNT, *SHAPE)).astype("u2")  # so that CDF blocks get smaller by packing
COLOURS = np.random.default_rng(8).integers(0, 255, (COUNT, *SHAPE, 3)).astype("u1")
TIMES = np.datetime64("2014-03-10T06:00:00.063119", "us") + 3_001_003 * np.arange(COUNT)


def pgm() -> bytes:
    "A stream as THEMIS writes it: the first header describes the camera."
    parts = []
    for number, (time, image) in enumerate(zip(TIMES, PIXELS)):
        start, ready = (str(moment).replace("T", " ") for moment in (time, time + 985_070 + number))
        camera = '#"Project unique ID" THEMIS\n#"Site unique ID" gill\n#"Imager unique ID" themis19\n' if not number else ""
        parts.append(f'P5\n{camera}#"CCD device" /dev/ccdA\n#"Exposure options" WIDTH=512 MSEC=999\n'
                     f'#"Image request start" {start} UTC\n#"Image readout start" {ready} UTC\n'
                     f'#"Exposure plus initial readout"    985.07 ms\n{SHAPE[1]} {SHAPE[0]}\n65535\n'.encode() + image.astype(">u2").tobytes())
    return b"".join(parts)


def pgm_pixels(data: bytes) -> np.ndarray:
    "Plain PGM guards no pixel."
    blind, place = np.zeros(len(data), bool), 0
    while (place := data.find(b"\n65535\n", place)) >= 0:
        blind[place + 7:place + 7 + PIXELS[0].nbytes] = True
        place += 7 + PIXELS[0].nbytes
    return blind


def cdf(layout: str) -> bytes:
    "A THEMIS file; in the old layout `_epoch` is stored plain, as in Berkeley's files."
    import tempfile
    from pathlib import Path

    from cdflib.cdfwrite import CDF
    spec, name = dict(Num_Elements=1, Rec_Vary=True, Sparse="no_sparse"), "thg_asf_gill"
    seconds = TIMES.astype("M8[s]").astype(float)
    epoch = TIMES.astype(float) / 1e3 + 62_167_219_200_000
    image, sizes, last = (PIXELS, list(SHAPE), []) if layout == "old" else (np.moveaxis(PIXELS, 0, -1)[None], [*SHAPE, COUNT], [COUNT])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.cdf")
        with CDF(str(path), cdf_spec={"Majority": "row_major", "Encoding": 1}) as file:
            file.write_var({"Variable": name, "Data_Type": 12, "Dim_Sizes": sizes, "Compress": 6, **spec}, var_data=image)
            file.write_var({"Variable": f"{name}_time", "Data_Type": 22, "Dim_Sizes": last, "Compress": 6, **spec},
                           var_data=seconds if layout == "old" else seconds[None])
            if layout == "old":
                file.write_var({"Variable": f"{name}_epoch", "Data_Type": 31, "Dim_Sizes": [], "Compress": 0, **spec}, var_data=epoch)
        return path.read_bytes()


def cdf_majority(data: bytes) -> np.ndarray:
    "One bit says whether pixels stand in rows or columns; in the 2024 layout nothing else tells."
    return np.arange(len(data)) == 43


def png() -> bytes:
    from PIL import Image
    file = io.BytesIO()
    Image.fromarray(COLOURS[0]).save(file, "PNG")
    return file.getvalue()


def hdf5() -> bytes:
    import h5py
    file = io.BytesIO()
    stamps = [f"{str(time).replace('T', ' ')} UTC" for time in TIMES]
    with h5py.File(file, "w") as out:
        out["data/timestamp"] = [stamp.encode() for stamp in stamps]
        out.create_dataset("data/images", data=np.moveaxis(COLOURS, 0, -1), chunks=(*SHAPE, 3, 1), compression="gzip", fletcher32=True)
        out.create_group("metadata/file").attrs.update(site_unique_id="gill", imager_unique_id="rgb-04")
        for number, stamp in enumerate(stamps):
            out.create_group(f"metadata/frame/frame{number}").attrs["image_request_start_timestamp"] = stamp
    return file.getvalue()


def sample(maker: Callable) -> Callable:
    "Content of a file of `reader_samples`."
    def make():
        import tempfile
        from pathlib import Path
        with tempfile.TemporaryDirectory() as folder: return maker(Path(folder))[0].read_bytes()
    return make


def dasc_pixels(data: bytes) -> np.ndarray:
    "FITS of this camera guard no pixel; they stand in the second block of 2880 bytes."
    return np.arange(len(data)) // 2880 == 1


class Format(NamedTuple):
    "One line of the table."
    name: str                      # Of the case
    file: str                      # Name of the file, as the camera names it
    make: Callable                 # () -> content of a good file
    examples: int                  # How many mutated files
    blind: Callable | None = None  # Content -> True for bytes that nothing guards
    time_tolerance: str = "0"      # Microseconds by which a time may be wrong without a chance to see it
    reader: object = None          # Where the content alone does not tell, a Reader with its options


FORMATS = [
    Format("pgm", "20140310_0600_gill_themis19_full.pgm", pgm, 1500, pgm_pixels, "5000"),
    Format("pgm.gz", "20140310_0600_gill_themis19_full.pgm.gz", lambda: gzip.compress(pgm(), mtime=0), 1000),
    Format("cdf old", "thg_l1_asf_gill_2014031006_v01.cdf", lambda: cdf("old"), 1000, None, "500000"),
    Format("cdf 2024", "thg_l1_asf_gill_2024031006_v01.cdf", lambda: cdf("2024"), 800, cdf_majority),
    Format("png", "20140310_060000_063119_gill_rgb-04_320ms_full.png", png, 500),
    Format("hdf5", "20140310_0600_gill_rgb-04_full.h5", hdf5, 200),
    Format("dasc", "PKR_DASC_0558_20151007_082351.743.FITS", sample(reader_samples.dasc_fits), 500, dasc_pixels),
    Format("png 16 grey", "20151007_082351.743.png", sample(reader_samples.png_grey16), 300),
    Format("png 16 colour", "20151007_082351.743.png", sample(reader_samples.png_colour16), 300),
]

place, byte = st.floats(0, 1, exclude_max=True), st.integers(0, 255)
overwrite = st.tuples(st.just("overwrite"), place, st.lists(byte, min_size=1, max_size=8))
flip = st.tuples(st.just("flip"), place, st.integers(0, 7))
zero = st.tuples(st.just("zero"), place, st.integers(1, 600))
cut = st.tuples(st.just("cut"), place, st.none())
insert = st.tuples(st.just("insert"), place, st.lists(byte, min_size=1, max_size=20))
delete = st.tuples(st.just("delete"), place, st.integers(1, 300))
repeat = st.tuples(st.just("repeat"), place, st.integers(1, 300))
# at most one change of length: two of them can cancel out inside the pixels of a format that guards none
mutations = st.tuples(st.lists(st.one_of(overwrite, flip, flip, zero), max_size=3), st.one_of(st.none(), cut, insert, delete, repeat))


def mutate(data: bytes, changes, blind) -> bytes:
    "The content with changes; blind bytes keep their values, but may be moved, lost or added to."
    out = np.frombuffer(data, "u1").copy()
    for kind, where, what in changes[0]:
        start = int(where * len(out))
        if kind == "overwrite": out[start:start + len(what)] = what[:len(out) - start]
        elif kind == "flip": out[start] ^= 1 << what
        else: out[start:start + what] = 0
    if blind is not None: out[blind] = np.frombuffer(data, "u1")[blind]
    content = out.tobytes()
    if changes[1] is None: return content
    kind, where, what = changes[1]
    start = int(where * len(content))
    if kind == "cut": return content[:start]
    if kind == "insert": return content[:start] + bytes(what) + content[start:]
    if kind == "delete": return content[:start] + content[start + what:]
    return content[:start + what] + content[start:]


def check(opened, good, path, tolerance):
    "No silent lie: every frame is one of the good ones at its time, and none is missing, or the file is listed."
    if str(path) in opened.problem_files: return
    assert len(opened.time) == len(good.time), "frames lost silently"
    away = np.abs(opened.time.values[:, None] - good.time.values)
    assert away.min(1).max() <= tolerance, "a wrong time"
    assert opened.image.dtype == good.image.dtype, "a wrong dtype"
    assert np.array_equal(opened.image, good.image[away.argmin(1)]), "a wrong frame"
    assert (opened.station, opened.array) == (good.station, good.array), "a wrong place"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", FORMATS, ids=[kind.name for kind in FORMATS])
def test_mutated_files(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("AURORA_NB_CACHE_FOLDER", str(tmp_path / "cache"))
    monkeypatch.setenv("AURORA_NB_READER_SECONDS", "8")  # damaged HDF5 can keep its library busy for ever
    data, path = kind.make(), tmp_path / kind.file
    path.write_bytes(data)
    good = open_allsky(path, kind.reader, load=True, workers=1)
    assert not good.problem_files
    blind = kind.blind(data) if kind.blind else None
    tolerance, unharmed = np.timedelta64(int(kind.time_tolerance), "us"), 0

    @settings(max_examples=kind.examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(mutations, st.booleans())
    def run(changes, load):
        nonlocal unharmed
        path.write_bytes(mutate(data, changes, blind))
        try:
            opened = open_allsky(path, kind.reader, load=load, workers=1, max_file_mb=50, cache=False)
            if opened.image.chunks is not None: opened = opened.compute()
        except AuroraError:
            return
        unharmed += 1
        check(opened, good, path, tolerance)

    run()
    assert unharmed, "no mutated file could be opened; the mutations are too rough to test anything"


def test_there_are_5000(): assert sum(kind.examples for kind in FORMATS) >= 5000

"Readers on real files, and on folders with everything that goes wrong."
import gzip
import shutil

import numpy as np
import pytest

from aurora_nb.core import AuroraError, FileProblem
from aurora_nb.frames import problem_table
from aurora_nb.readers.base import FileFrames, Reader, known_readers, open_allsky, register_reader
from aurora_nb.readers.themis import CdfVariables, ThemisCdf, cdf_shape, cdf_values
from aurora_nb.readers.ucalgary import CalgaryHdf5, CalgaryPgm


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("AURORA_NB_CACHE_FOLDER", str(tmp_path_factory.mktemp("cache")))


REAL = [  # pattern, shape, dtype, station, array, wavelength, first and last time
    ("themis_pgm/*.pgm*", (120, 256, 256), "u2", "gill", "themis", None, "2014-03-10T06:00:00.063119", "2014-03-10T06:05:57.063061"),
    ("rainbow_pgm/*.pgm*", (20, 256, 512), "u2", "rabb", "rainbow", None, "2013-02-05T05:04:00.028690", "2013-02-05T05:05:54.036669"),
    ("trex_pgm/*nir*", (20, 256, 256), "u2", "gill", "trex_nir", 844.6, "2022-03-07T06:00:00", "2022-03-07T06:05:54"),
    ("trex_pgm/*blue*", (20, 270, 320), "u2", "gill", "trex_blue", 427.8, "2022-03-08T06:00:00.233598", "2022-03-08T06:00:57.231744"),
    ("trex_pgm/*.png", (2, 480, 553, 3), "u1", "gill", "trex_rgb", None, "2020-05-08T06:05:00.122643", "2021-10-30T06:05:00.149606"),
    ("themis_cdf/*asf*", (23, 256, 256), "u2", "gako", "themis", None, "2011-01-06T17:00:00.053", "2011-01-06T17:01:06.020"),
    ("themis_cdf/*ast*", (1075, 32, 32), "u2", "gako", "themis", None, "2011-05-05T09:14:15", "2011-05-05T10:08:03"),
]


@pytest.mark.parametrize("pattern, shape, dtype, station, array, wavelength, first, last", REAL, ids=[row[0] for row in REAL])
@pytest.mark.parametrize("load", [True, False])
def test_real_files(shared_data, pattern, shape, dtype, station, array, wavelength, first, last, load):
    frames = open_allsky(shared_data / pattern, load=load)
    assert (frames.image.shape, frames.image.dtype) == (shape, np.dtype(dtype))
    assert (frames.station, frames.array, frames.attrs.get("wavelength_nm")) == (station, array, wavelength)
    assert frames.problem_files == {}
    assert (frames.image.chunks is None) == load
    assert abs(frames.time.values[0] - np.datetime64(first)) < np.timedelta64(10, "ms")
    assert abs(frames.time.values[-1] - np.datetime64(last)) < np.timedelta64(10, "ms")


def test_eager_and_lazy_agree(shared_data):
    now, later = (open_allsky(shared_data / "themis_pgm/*.pgm*", load=load) for load in (True, False))
    assert np.array_equal(now.image, later.image) and np.array_equal(now.time, later.time) and now.attrs == later.attrs
    assert len(later.image.chunks[0]) == 6


def test_cdf_equals_cdflib(shared_data):
    import cdflib
    for path in sorted((shared_data / "themis_cdf").glob("*.cdf")):
        ours, theirs = CdfVariables(path.read_bytes()), cdflib.CDF(path)
        assert list(ours.names) == theirs.cdf_info().zVariables
        for name in ours.names:
            assert np.array_equal(cdf_values(ours, name), np.reshape(theirs.varget(name), cdf_shape(ours, name)[0])), name


def test_rows_as_in_the_file(shared_data):
    "Row 0 is the first row stored: the first pixels of the PGM stream."
    path = shared_data / "themis_pgm/20140310_0605_gill_themis19_full.pgm"
    data = path.read_bytes()
    first_row = np.frombuffer(data, ">u2", 256, data.index(b"\n65535\n") + 7)
    assert np.array_equal(open_allsky(path).image[0, 0], first_row)


def test_png_equals_the_file(shared_data):
    from PIL import Image
    path = next((shared_data / "trex_pgm").glob("2021*.png"))
    assert np.array_equal(open_allsky(path).image[0], np.asarray(Image.open(path)))


def test_time_range_is_half_open(shared_data):
    all_frames = open_allsky(shared_data / "themis_pgm/*.pgm*")
    start, end = all_frames.time.values[[25, 70]]
    for load in (True, False):
        part = open_allsky(shared_data / "themis_pgm/*.pgm*", time_range=(start, end), load=load)
        assert np.array_equal(part.time, all_frames.time[25:70]) and np.array_equal(part.image, all_frames.image[25:70])


@pytest.fixture
def night(shared_data, tmp_path):
    "Six good minutes to spoil."
    for path in (shared_data / "themis_pgm").glob("*.pgm*"): shutil.copyfile(path, tmp_path / path.name)
    return tmp_path, sorted(tmp_path.glob("*.pgm*")), open_allsky(tmp_path)


SPOIL = {
    "cut": (lambda data: data[:len(data) // 2], "cut before the end"),
    "empty": (lambda data: b"", "an empty file"),
    "garbage": (lambda data: np.random.default_rng(1).bytes(5000), "bytes beginning"),
    "wrong byte": (lambda data: data[:90_000] + bytes([data[90_000] ^ 1]) + data[90_001:], "damaged gzip data"),
    "an error page": (lambda data: b"<!DOCTYPE html><h1>404 Not Found</h1>", "an HTML page"),
    "another picture": (lambda data: b"\x89PNG\r\n\x1a\n" + bytes(100), "png"),
    "size that lies": (lambda data: data[:-4] + b"\xff\xff\xff\x7f", "damaged gzip data"),
    "absurd width": (lambda data: gzip.compress(gzip.decompress(data).replace(b"\n256 256\n", b"\n99999 99999\n")), "cut after"),
    "half the width": (lambda data: gzip.compress(gzip.decompress(data).replace(b"\n256 256\n", b"\n128 256\n")), "not followed"),
}


@pytest.mark.parametrize("spoil, reason", SPOIL.values(), ids=SPOIL)
@pytest.mark.parametrize("load", [True, False])
def test_one_bad_file(night, spoil, reason, load):
    folder, files, good = night
    files[2].write_bytes(spoil(files[2].read_bytes()))
    frames = open_allsky(folder, load=load)
    assert list(frames.problem_files) == [str(files[2])] and reason in frames.problem_files[str(files[2])].replace("PNG", "png")
    kept = np.isin(good.time.values, frames.time.values)
    spoiled = good.source_file.values == 2
    assert np.array_equal(frames.image, good.image[kept]) and kept[~spoiled].all()
    assert kept[spoiled].any() == (reason == "cut before the end")  # of all the damage only a cut leaves frames one can trust
    with pytest.raises(FileProblem, match="0602"): open_allsky(folder, load=load, on_error="raise")


def test_frames_before_a_cut_stay(night):
    folder, files, good = night
    plain = gzip.decompress(files[2].read_bytes())
    files[2].write_bytes(gzip.compress(plain[:len(plain) * 3 // 4]))  # in the last row of the fifteenth frame
    frames = open_allsky(folder)
    assert (frames.source_file.values == 2).sum() == 14 and "cut after" in frames.problem_files[str(files[2])]


def test_mislabelled_names(night):
    folder, files, good = night
    names = ["a.png", "b.cdf", "c", "d.pgm", "e.txt", "f.pgm.gz"]  # gzip without .gz, plain with it
    for path, name in zip(files, names): path.rename(folder / name)
    assert np.array_equal(open_allsky(folder).image, good.image)


def test_another_camera_in_the_night(night, shared_data):
    folder, files, good = night
    shutil.copy(shared_data / "trex_pgm/20220307_0605_gill_nir-216_8446.pgm", folder / "20140310_0602_gill_themis19_x.pgm")
    shutil.copy(shared_data / "themis_cdf/thg_l1_ast_gako_20110505_v01.cdf", folder)
    for load in (True, False):
        frames = open_allsky(folder, load=load)
        assert np.array_equal(frames.image, good.image) and len(frames.problem_files) == 2
        assert all("as in most files" in reason for reason in frames.problem_files.values())


def test_duplicates_are_reported(night):
    folder, files, good = night
    shutil.copyfile(files[1], folder / "20140310_0601_gill_themis19_again.pgm.gz")
    for load in (True, False):
        frames = open_allsky(folder, load=load)
        assert np.array_equal(frames.image, good.image)
        (reason,) = frames.problem_files.values()
        assert "20 of 20 frames at a moment that another frame has" in reason
    assert list(problem_table(frames).columns) == ["file", "reason"]


def test_times_out_of_order(night):
    folder, files, good = night
    swapped = dict(zip(files, files[::-1]))
    for path in files: path.rename(path.with_suffix(".moved"))
    for path, other in swapped.items(): path.with_suffix(".moved").rename(other)
    for load in (True, False):
        frames = open_allsky(folder, load=load)
        assert np.array_equal(frames.time, good.time) and np.array_equal(frames.image, good.image)


def test_interleaved_files(night):
    "Two cameras' worth of files whose frames alternate come out in order, eager and lazy."
    folder, files, good = night
    data = gzip.decompress(files[0].read_bytes())
    starts = [place for place in range(len(data)) if data.startswith(b"P5\n#", place)] + [len(data)]
    frames = [data[start:end] for start, end in zip(starts, starts[1:])]
    for path in files: path.unlink()
    (folder / "even.pgm").write_bytes(b"".join(frames[::2]))
    (folder / "odd.pgm").write_bytes(b"".join([frames[0], *frames[1::2]]))
    for load in (True, False):
        opened = open_allsky(folder, load=load)
        assert np.array_equal(opened.time, good.time[:20]) and np.array_equal(opened.image, good.image[:20])


def test_paths_that_are_none(tmp_path):
    (tmp_path / "empty").mkdir()
    for paths, words in ((tmp_path / "empty", "a folder without files"), (tmp_path / "none.pgm", "no such file"),
                         (str(tmp_path / "*.pgm"), "no such file"), ([], "an empty list")):
        with pytest.raises(AuroraError, match=words): open_allsky(paths)


def test_nothing_readable_lists_the_first_reasons(tmp_path):
    for number in range(8): (tmp_path / f"{number}.pgm.gz").write_bytes(b"")
    with pytest.raises(AuroraError, match="(?s)8 problem files.*0.pgm.gz: found an empty file.*and 3 more files"):
        open_allsky(tmp_path)


def test_pipe_is_no_file(tmp_path):
    import os
    os.mkfifo(tmp_path / "pipe.pgm")
    with pytest.raises(AuroraError): open_allsky(tmp_path / "pipe.pgm")


def test_decompression_bomb(tmp_path):
    (tmp_path / "bomb.pgm.gz").write_bytes(gzip.compress(b'P5\n#"a" b\n' + bytes(50_000_000)))
    with pytest.raises(AuroraError, match="unpack to more than 10 MB"): open_allsky(tmp_path, max_file_mb=10)


def test_changed_after_scan(night):
    folder, files, good = night
    later = open_allsky(folder, load=False)
    shutil.copyfile(files[0], files[3])
    with pytest.raises(FileProblem, match="other frames than when it was opened"): later.image.values
    assert "another frame has" in open_allsky(folder, load=False).problem_files[str(files[3])]


def test_damaged_scan_cache_is_made_again(night, tmp_path_factory, monkeypatch):
    folder, files, good = night
    cache = tmp_path_factory.mktemp("scans")
    monkeypatch.setenv("AURORA_NB_CACHE_FOLDER", str(cache))
    open_allsky(folder, load=False)
    (kept,) = (cache / "scans").iterdir()
    kept.write_text(kept.read_text()[:-100])
    assert np.array_equal(open_allsky(folder, load=False).time, good.time)


def test_a_reader_that_fails_costs_one_file(tmp_path, monkeypatch):
    import aurora_nb.readers.base as base
    monkeypatch.setattr(base, "_registered", [])

    @register_reader
    class Broken(Reader):
        name = "broken"

        @classmethod
        def can_open(cls, path, head): return head[:3] == b"BRK"

        def read(self, path):
            if head := path.read_bytes()[3:]: raise ZeroDivisionError(head)
            return FileFrames(np.zeros((1, 2, 2), ">u2"), np.array(["2020-01-01"], "M8[ns]"))

    (tmp_path / "a").write_bytes(b"BRK")
    (tmp_path / "b").write_bytes(b"BRK!")
    frames = open_allsky(tmp_path)
    assert frames.image.dtype == np.dtype("=u2") and "ZeroDivisionError" in frames.problem_files[str(tmp_path / "b")]


def test_unbelievable_times_are_left_out(tmp_path, shared_data):
    data = (shared_data / "themis_pgm/20140310_0605_gill_themis19_full.pgm").read_bytes()
    # the second frame, with every clock in it in the year 9014
    second = data.index(b"P5\n#", 3)
    third = data.index(b"P5\n#", second + 3)
    (tmp_path / "night.pgm").write_bytes(data[:second] + data[second:third].replace(b'" 2014-', b'" 1914-') + data[third:])
    frames = open_allsky(tmp_path)
    assert len(frames.time) == 19 and "without a believable time" in frames.problem_files[str(tmp_path / "night.pgm")]


def test_all_readers_are_installed():
    assert {"themis_cdf", "ucalgary_pgm", "ucalgary_png", "ucalgary_hdf5"} <= set(known_readers())
    assert ThemisCdf.name == "themis_cdf" and CalgaryPgm.name == "ucalgary_pgm" and CalgaryHdf5.name == "ucalgary_hdf5"

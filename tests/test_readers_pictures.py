"Pictures and movies: real files, every kind of number, damage, and memory."
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import reader_samples
from aurora_nb.core import AuroraError
from aurora_nb.frames import validate_frames
from aurora_nb.readers.base import open_allsky
from aurora_nb.readers.movies import Movies
from aurora_nb.readers.pictures import Pictures, read_picture


def reasons(frames): return {path.rsplit("/", 1)[-1]: reason for path, reason in frames.problem_files.items()}


# ---- pictures

@pytest.mark.parametrize("name", [name for name in reader_samples.MAKERS if name != "movie_mp4"])
@pytest.mark.parametrize("load", [True, False])
def test_every_kind_number_by_number(tmp_path, name, load):
    path, reader, image = reader_samples.MAKERS[name][0](tmp_path)
    frames = open_allsky(path, reader=reader, load=load, cache=False)
    assert frames.image.dtype == image.dtype and frames.time.values[0] == reader_samples.TIME
    np.testing.assert_array_equal(frames.image.values, image)


def test_kho_colour_pictures(shared_data):
    frames = open_allsky(shared_data / "kho_color" / "*.jpg", reader=Pictures(station="kho"))
    assert frames.image.shape == (16, 480, 720, 3) and frames.image.dtype == np.uint8 and not frames.problem_files
    assert str(frames.time.values[0])[:19] == "2014-01-01T06:20:52" and list(frames.band.values) == ["red", "green", "blue"]
    np.testing.assert_array_equal(frames.image[0], np.asarray(Image.open(shared_data / "kho_color/20140101062052.jpg")))


def test_a_whole_folder_reports_what_is_no_picture(shared_data):
    frames = open_allsky(shared_data / "kho_color", reader=Pictures(station="kho"))
    assert frames.sizes["time"] == 16 and set(reasons(frames)) == {"LICENSE", "kho1.mp4"}
    assert "a movie, expected a PNG" in reasons(frames)["kho1.mp4"]


def unfilter(raw, height, line, step):
    "Rows of a PNG with its filters undone, byte by byte as the standard says: an independent decoder."
    rows, place, up = [], 0, bytearray(line)
    for _ in range(height):
        kind, row = raw[place], bytearray(raw[place + 1:place + 1 + line])
        for i in range(line):
            a, b, c = (row[i - step] if i >= step else 0), up[i], (up[i - step] if i >= step else 0)
            p = a + b - c
            nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            row[i] = (row[i] + [0, a, b, (a + b) // 2, nearest][kind]) % 256
        rows.append(row)
        place, up = place + 1 + line, row
    return b"".join(rows)


def test_oath_keeps_its_16_bits(shared_data):
    path = shared_data / "oath/00001.png"
    data, place, body = path.read_bytes(), 8, b""
    while place < len(data):
        size = int.from_bytes(data[place:place + 4], "big")
        if data[place + 4:place + 8] == b"IDAT": body += data[place + 8:place + 8 + size]
        place += 12 + size
    truth = np.frombuffer(unfilter(zlib.decompress(body), 256, 256 * 6, 6), ">u2").reshape(256, 256, 3)
    image = read_picture(path)[0]
    assert image.dtype == np.uint16 and len(np.unique(image)) > 256
    np.testing.assert_array_equal(image, truth)


def test_oath_has_no_times_and_says_what_to_do(shared_data, tmp_path):
    with pytest.raises(AuroraError, match="no times in the name.*Give a pattern"):
        open_allsky(shared_data / "oath/*.png", reader="pictures")
    shutil.copy(shared_data / "oath/00001.png", tmp_path / "oath 07Oct15 08h23m51.png")
    frames = open_allsky(tmp_path, reader=Pictures(time_pattern="%d%b%y %Hh%Mm%S"))
    assert str(frames.time.values[0])[:19] == "2015-10-07T08:23:51" and frames.image.dtype == np.uint16


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_bad_pictures_among_good_ones(tmp_path):
    for second in range(5):
        (tmp_path / f"2015-10-07T08-23-0{second}.png").write_bytes(reader_samples.png_bytes(np.full((8, 9, 3), second, "u2")))
    good = (tmp_path / "2015-10-07T08-23-00.png").read_bytes()
    bad = {"20151007_082310.png": good[:-30], "20151007_082311.png": b"", "20151007_082312.png": b"<html>404",
           "20151007_082313.jpg": b"\xff\xd8\xff\xe0" + bytes(3000), "20151007_082314.tif": b"II*\0" + bytes(range(200)),
           "20151007_082315.png": reader_samples.png_bytes(np.zeros((8, 8, 3), "u2")),  # another size
           "20151007_082316.png": reader_samples.png_bytes(np.zeros((8, 9), "u2")),     # grey among colour
           "20151007_082317.png": reader_samples.png_bytes(np.zeros((8, 9, 3), "u1")),  # another type
           "no_time.png": good, "20151007082301_again.png": good, "20150231_082301.png": good}
    for name, content in bad.items(): (tmp_path / name).write_bytes(content)
    for load in (True, False):
        frames = open_allsky(tmp_path, reader=Pictures(), load=load, cache=False)
        assert frames.image[:, 0, 0, 0].values.tolist() == [0, 1, 2, 3, 4]
        # of the same moment twice the first by name stays
        assert set(reasons(frames)) - {"20151007082301_again.png", "2015-10-07T08-23-01.png"} == set(bad) - {"20151007082301_again.png"}
    with pytest.raises(AuroraError): open_allsky(tmp_path / "20151007_082310.png")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bomb(tmp_path):
    claim = bytearray(reader_samples.png_bytes(np.zeros((8, 9), "u1")))
    for size, words in ((90_000, "DecompressionBomb"), (10_000, "MAX_IMAGE_PIXELS")):
        claim[16:24] = struct.pack(">II", size, size)
        claim[29:33] = struct.pack(">I", zlib.crc32(claim[12:29]))
        (tmp_path / "20151007_082310.png").write_bytes(claim)
        with pytest.raises(AuroraError, match=words): open_allsky(tmp_path)


MUTATIONS = int(os.environ.get("AURORA_NB_MUTATIONS", 300))


@pytest.mark.filterwarnings("ignore")  # Pillow warns of damaged tags before it gives up
@pytest.mark.parametrize("name", list(reader_samples.MAKERS))
def test_mutated_files(tmp_path_factory, name):
    "No crash and no hang; where checksums cover the pixels, no wrong frame; where a name tells the time, no wrong time."
    folder = tmp_path_factory.mktemp("mutated")
    maker, checksummed = reader_samples.MAKERS[name]
    path, reader, image = maker(folder)
    whole = path.read_bytes()

    @settings(max_examples=MUTATIONS, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.booleans(), st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(1, 255)), max_size=4),
           st.one_of(st.just(len(whole)), st.integers(0, len(whole))), st.binary(max_size=20))
    def mutate(load, flips, end, tail):
        data = bytearray(whole)
        for place, bits in flips: data[place] ^= bits
        path.write_bytes(bytes(data[:end]) + tail)
        try:
            frames = validate_frames(open_allsky(path, reader=reader, load=load, cache=False)).compute()
        except AuroraError:
            return
        if checksummed: np.testing.assert_array_equal(frames.image.values, image)
        wrong = frames.time.values[0] != reader_samples.TIME and name != "movie_mp4"
        assert not wrong or frames.problem_files
        assert frames.sizes["time"] <= len(image)

    mutate()


# ---- movies

@pytest.mark.parametrize("load", [True, False])
def test_movie_as_a_plain_decoder_gives_it(tmp_path, load):
    path, reader, image = reader_samples.movie_mp4(tmp_path, 150)
    frames = open_allsky(path, reader=reader, load=load, cache=False)
    np.testing.assert_array_equal(frames.image.values, image)
    np.testing.assert_array_equal(frames.time.values, reader_samples.TIME + np.arange(150) * np.timedelta64(3, "s"))


def test_any_frames_of_a_lazy_movie(tmp_path):
    path, reader, image = reader_samples.movie_mp4(tmp_path, 150)
    frames = open_allsky(path, reader=reader, load=False, cache=False)
    assert frames.image.data.numblocks[0] == 3
    for rows in ([149], [64, 63], list(range(60, 70)), [3, 140, 70]):
        np.testing.assert_array_equal(frames.image[rows].values, image[rows])


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_cut_movie_keeps_whole_frames(tmp_path, part):
    path, reader, image = reader_samples.movie_mp4(tmp_path, 150, crf="1")
    path.write_bytes(path.read_bytes()[:int(path.stat().st_size * part)])
    frames = open_allsky(path, reader=reader)
    count = frames.sizes["time"]
    assert 0 < count < 150 and "the movie is cut" in "".join(frames.problem_files.values())
    index = ((frames.time.values - reader_samples.TIME) / np.timedelta64(3, "s")).astype(int)
    np.testing.assert_array_equal(frames.image.values, image[index])
    assert open_allsky(path, reader=reader, load=False, cache=False).time.equals(frames.time)


def test_movies_without_what_only_the_user_knows(tmp_path):
    path, _, _ = reader_samples.movie_mp4(tmp_path)
    with pytest.raises(AuroraError, match="does not tell its cadence. Give reader=Movies"): open_allsky(path)
    path = path.rename(tmp_path / "night.mp4")
    with pytest.raises(AuroraError, match="the time of its first frame and its cadence"): open_allsky(path)
    with pytest.raises(AuroraError, match="expected a movie"):
        (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nnight.mp4\n")
        open_allsky(tmp_path / "list.mp4", reader=Movies("2015-01-01", "1s"))


def test_fsmi_movie_has_its_start_in_its_name(shared_data):
    path = next((shared_data / "asilib_themis").glob("*.mp4"))
    frames = open_allsky(path, reader=Movies(cadence="3s", grey=True, station="fsmi"))
    assert frames.image.shape == (460, 480, 640) and frames.image.dtype == np.uint8 and not frames.problem_files
    assert str(frames.time.values[-1])[:19] == "2015-03-26T06:29:57"


LAZY = """
import json, sys
sys.path.insert(0, sys.argv[2])
from harness import peak_memory_mb
from aurora_nb.readers.base import open_allsky
from aurora_nb.readers.movies import Movies
frames = open_allsky(sys.argv[1], reader=Movies("2013-12-04T18:49", "1s"), load=False, cache=False)
opened = peak_memory_mb()
block = frames.image[1700:1740].values
print(json.dumps(dict(shape=frames.image.shape, opened=opened, peak=peak_memory_mb(), problems=frames.problem_files,
                      mean=float(block.mean()))))
"""


def test_kho_movie_is_not_read_when_it_is_opened(shared_data, request):
    harness = request.config.rootpath / "tests/benchmarks"
    done = subprocess.run([sys.executable, "-c", LAZY, shared_data / "kho_color/kho1.mp4", harness], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert found["shape"] == [3601, 240, 320, 3] and not found["problems"] and found["mean"] > 1
    assert found["peak"] < 400, found  # 830 MB of pixels

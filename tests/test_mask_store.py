"The mask store where it hurts: processes killed while they write, two annotators, two kernels of one annotator, bad files."
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from aurora_nb.archive.maskfiles import as_mask, mask_name, parse_mask_name, read_mask_png
from aurora_nb.archive.masks import MaskStore
from aurora_nb.core import AuroraError, FileProblem
from aurora_nb.frames import build_frames
from aurora_nb.learn.datasets import open_labelled

MOMENT = "2018-06-14T00:02"
WRITER = """
import sys
import numpy as np
from aurora_nb.archive.masks import MaskStore
store, annotator, first = MaskStore(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
for number in range(first, first + int(sys.argv[4])):
    mask = np.random.default_rng(number).random((96, 128)) < 0.5
    version = store.write(mask, "jbs", np.datetime64("2018-06-14T00:00") + number % 3, annotator, number=number)
    print(number, version, flush=True)  # told only once it is on the disk
"""


def pattern(number):
    return np.random.default_rng(number).random((96, 128)) < 0.5


def moment(number):
    return np.datetime64("2018-06-14T00:00") + number % 3


def start_writer(folder, annotator, first=0, count=1_000_000):
    command = [sys.executable, "-c", WRITER, str(folder), annotator, str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told(writer):
    "What a writer said it had saved: number, version. The last line may be cut by its end."
    lines = writer.stdout.read().splitlines(keepends=True)
    return [tuple(map(int, line.split())) for line in lines if line.endswith("\n") and line != "ready\n"]


def all_files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


def test_kill_at_random_moments(tmp_path):
    "Nothing half written under a mask's name, nothing lost that was acknowledged, and work goes on afterwards."
    rng, acknowledged, first = np.random.default_rng(), {}, 0
    for _ in range(8):
        writer = start_writer(tmp_path, "anna", first)
        assert writer.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.0, 0.15))
        writer.send_signal(signal.SIGKILL)
        acknowledged |= {(number % 3, version): number for number, version in told(writer)}
        assert writer.wait() == -signal.SIGKILL
        first += 1000
    assert len(acknowledged) > 8
    store = MaskStore(tmp_path)
    for (minute, version), number in acknowledged.items():
        assert np.array_equal(store.read("jbs", moment(minute), "anna", version), pattern(number))
    for path in all_files(tmp_path):  # also what was written and not yet told
        mask, about = read_mask_png(path)
        assert np.array_equal(mask, pattern(about["number"]))
    table = store.table()
    assert len(table) == 3 and not table.attrs["problem_files"]
    for row in table.itertuples():
        assert row.version >= max(version for minute, version in acknowledged if moment(minute) == row.time)
        assert store.write(pattern(0), "jbs", row.time, "anna") == row.version + 1
    leftovers = [path for path in tmp_path.rglob(".*") if path.is_file()]
    assert len(leftovers) <= 8, "at most one unfinished file a kill"


def test_one_annotator_in_two_kernels(tmp_path):
    "Both save the same frames at once: every version is kept, none twice."
    writers = [start_writer(tmp_path, "anna", first, 40) for first in (0, 3000)]
    saved = [entry for writer in writers for entry in told(writer)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(saved) == len({(number % 3, version) for number, version in saved}) == 80 == len(all_files(tmp_path))
    store = MaskStore(tmp_path)
    for number, version in saved: assert np.array_equal(store.read("jbs", moment(number), "anna", version), pattern(number))


def test_two_annotators_on_one_frame_are_both_kept(tmp_path):
    writers = [start_writer(tmp_path, name, first, 12) for name, first in (("anna", 0), ("Bengt Å.", 3000))]
    for writer in writers: assert len(told(writer)) == 12 and writer.wait() == 0
    store = MaskStore(tmp_path)
    table = store.table()
    assert sorted(map(tuple, table[["annotator", "version"]].values)) == [("Bengt Å.", 4)] * 3 + [("anna", 4)] * 3
    assert np.array_equal(store.read("jbs", moment(0), "anna"), pattern(9))
    assert np.array_equal(store.read("jbs", moment(0), "Bengt Å."), pattern(3009))
    with pytest.raises(AuroraError, match="Choose an annotator"): store.masks("jbs")
    assert store.masks("jbs", "Bengt Å.").sizes["time"] == 3
    assert store.masks("jbs", "anna", ("2018-06-14T00:01", "2018-06-14T00:02")).sizes["time"] == 1


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    "An error on the way leaves neither a mask nor a leftover, and is told."
    store = MaskStore(tmp_path)
    store.write(pattern(0), "jbs", MOMENT, "anna")
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"): store.write(pattern(1), "jbs", MOMENT, "anna")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
    assert np.array_equal(store.read("jbs", MOMENT, "anna"), pattern(0))


def test_a_disk_without_links(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *names: (_ for _ in ()).throw(PermissionError("no links")))
    store = MaskStore(tmp_path)
    assert [store.write(pattern(number), "jbs", MOMENT, "anna") for number in range(3)] == [1, 2, 3]
    assert [np.array_equal(store.read("jbs", MOMENT, "anna", n + 1), pattern(n)) for n in range(3)] == [True] * 3
    assert not [path for path in tmp_path.rglob(".*.part")]


def test_undo_path_after_a_long_history(tmp_path):
    store = MaskStore(tmp_path)
    for number in range(3): store.write(pattern(number), "jbs", MOMENT, "anna")          # 1 2 3
    store.write(pattern(1), "jbs", MOMENT, "anna", restores=2)                           # 4: undo
    assert store.undo_path("jbs", MOMENT, "anna") == [1, 2]
    store.write(pattern(7), "jbs", MOMENT, "anna")                                       # 5: another stroke
    assert store.undo_path("jbs", MOMENT, "anna") == [1, 2, 5]
    store.write(pattern(0), "jbs", MOMENT, "anna", restores=1)
    store.withdraw("jbs", MOMENT, "anna")
    assert store.undo_path("jbs", MOMENT, "anna") == [] and not len(store.table())
    store.write(pattern(2), "jbs", MOMENT, "anna")
    assert store.undo_path("jbs", MOMENT, "anna") == [8] and store.table().version.tolist() == [8]


@pytest.mark.parametrize("annotator", ["", "anna", "Ånna Ö", "a~b", "../../up", "a/b\\c:d*e", ".hidden", "  ", "名"])
@pytest.mark.parametrize("time", ["2018-06-14", "2018-06-14T23:59:59.999999999", "1999-12-31T12:00:00.25"])
def test_names_come_back(tmp_path, annotator, time):
    name = mask_name("jbs", time, annotator, 12)
    assert parse_mask_name(name) == ("jbs", pd.Timestamp(time), annotator or "unnamed", 12)
    store = MaskStore(tmp_path)
    assert store.write(pattern(1), "jbs", time, annotator) == 1 and store.write(pattern(2), "jbs", time, annotator) == 2
    assert all(tmp_path in path.resolve().parents for path in all_files(tmp_path))
    assert store.table().annotator.tolist() == [annotator or "unnamed"]


@pytest.mark.parametrize("mask, says", [
    (np.full((4, 4), 0.5), "0.5"), (np.full((4, 4), np.nan), "nan"), (np.zeros((2, 4, 4)), "shape"),
    (np.array([[0, 1], [255, 0]]), "255"), (np.zeros((0, 4)), "shape"), (-np.eye(3), "-1"), ("mask.png", "shape")])
def test_masks_that_are_none_are_refused(tmp_path, mask, says):
    store = MaskStore(tmp_path)
    with pytest.raises(AuroraError, match=says): store.write(mask, "jbs", MOMENT)
    assert not all_files(tmp_path)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "?", ">i2"])
def test_zeros_and_ones_of_any_type(dtype):
    assert np.array_equal(as_mask(pattern(3).astype(dtype)), pattern(3))


def test_files_that_others_put_there(tmp_path):
    "Notes, pictures, a mask without facts, a cut mask: told, never taken for a judgement, never touched."
    store = MaskStore(tmp_path)
    for number in range(2): store.write(pattern(number), "jbs", MOMENT, "anna")
    newest = store.file("jbs", MOMENT, "anna")
    newest.write_bytes(newest.read_bytes()[:120])
    from PIL import Image
    for name in ("notes.txt", "picture.png"): Image.fromarray(np.zeros((4, 4), "u1")).save(newest.parent / name, "PNG")
    Image.fromarray(np.zeros((4, 4), "u1")).save(tmp_path / mask_name("jbs", MOMENT, "ben", 1))
    table = store.table()
    assert list(zip(table.annotator, table.version)) == [("anna", 1)]
    assert any("~ben~" in path for path in table.attrs["problem_files"])
    with pytest.raises(FileProblem, match="Move the file away"): store.read("jbs", MOMENT, "anna")
    assert np.array_equal(store.read("jbs", MOMENT, "anna", version=1), pattern(0))


@pytest.mark.parametrize("shape, dtype", [((3, 96, 128), "u2"), ((3, 96, 128, 3), "u1"), ((3, 96, 128), "u1")])
def test_pairs_are_read_for_training(tmp_path, shape, dtype):
    "What to_pairs writes, open_labelled reads: same pixels, same masks, same nights; both annotators."
    from aurora_nb.learn.tables import read_image
    from aurora_nb.simulate.layouts import read_mask
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype)
    times = np.array([moment(number) for number in range(3)], "M8[ns]")
    frames, store = build_frames(image, times, station="jbs"), MaskStore(tmp_path / "store")
    for number in (0, 2): store.write(pattern(number), "jbs", moment(number), "anna")
    store.write(pattern(9), "jbs", moment(0), "ben")
    store.write(pattern(9), "gill", moment(0), "ben")
    for _ in range(2): groups = store.to_pairs(tmp_path / "pairs", frames)
    assert len(groups) == 3
    table = open_labelled(tmp_path / "pairs", "jbs_masks")
    assert not table.attrs["problem_files"] and table.night.nunique() == 1 and set(table.station) == {"jbs"}
    assert sorted(table.time) == sorted(times[[0, 0, 2]]) and sorted(table.annotator) == ["anna", "anna", "ben"]
    for row in table.itertuples():
        number = int((row.time - pd.Timestamp(times[0])) / pd.Timedelta("1min"))
        assert np.array_equal(read_image(row.file), image[number])
        assert np.array_equal(read_mask(row.mask), pattern(number if row.annotator == "anna" else 9))

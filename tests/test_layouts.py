"""Labelled sets on disk: as the originals are, resumable, and with their truth intact."""
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora_nb.core import AuroraError
from aurora_nb.frames import build_frames
from aurora_nb.readers.base import open_allsky
from aurora_nb.readers.pictures import read_picture
from aurora_nb.simulate import layouts
from aurora_nb.simulate.layouts import (CLASS_NAMES, LAYOUTS, frame_groups, oath_picture, read_groups,
                                        read_mask, turned, write_deep_png, write_labelled, write_oath)
from aurora_nb.simulate.night import simulate_night
from aurora_nb.stations import night_names


def made(count=5, shape=(256, 256), dtype="u2", seed=0, station="gill", start="2015-01-20T04:00"):
    rng = np.random.default_rng(seed)
    times = np.datetime64(start, "ns") + np.arange(count) * np.timedelta64(90, "s")
    frames = build_frames(rng.integers(0, 250, (count, *shape)).astype(dtype), times, station, seed=seed, simulated=True)
    names = {scheme: ("time", rng.choice(["", *classes], count)) for scheme, classes in CLASS_NAMES.items()}
    return frames.assign(names | {"truth": (("time", "y", "x"), rng.random((count, *shape[:2])) < 0.3)})


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.integers(0, 1000))
def test_deep_pictures_come_back(rows, columns, colour, seed):
    import tempfile

    pixels = np.random.default_rng(seed).integers(0, 65536, (rows, columns) + (3,) * colour).astype("u2")
    with tempfile.TemporaryDirectory() as folder:
        write_deep_png(Path(folder) / "picture.png", pixels)
        assert (read_picture(Path(folder) / "picture.png")[0] == pixels).all()


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_pieces_equal_the_whole_and_repeating_changes_nothing(layout, tmp_path):
    shape, dtype = {"oath": ((256, 256), "u2"), "yellow_river": ((64, 64), "u2")}.get(layout, ((64, 64, 3), "u1"))
    frames = made(9, shape, dtype, seed=4)
    write_labelled(frames, tmp_path / "whole", layout)
    for part in (slice(0, 4), slice(2, 7), slice(7, 9), slice(0, 9)):
        write_labelled(frames.isel(time=part), tmp_path / "pieces", layout)
    assert files_of(tmp_path / "whole") == files_of(tmp_path / "pieces")


def test_stopped_in_the_middle_and_resumed(tmp_path, monkeypatch):
    frames, calls = made(8, seed=5), []

    def stops(path, pixels):
        calls.append(path)
        if len(calls) == 5: raise KeyboardInterrupt
        write_deep_png(path, pixels)

    monkeypatch.setattr(layouts, "write_deep_png", stops)
    with pytest.raises(KeyboardInterrupt): write_oath(frames, tmp_path / "stopped")
    assert len(read_groups(tmp_path / "stopped")) == 0 and not list((tmp_path / "stopped").rglob(".*"))
    monkeypatch.undo()
    write_oath(frames, tmp_path / "stopped")
    write_oath(frames, tmp_path / "whole")
    assert files_of(tmp_path / "stopped") == files_of(tmp_path / "whole")


def test_groups_keep_classes_times_and_seeds(tmp_path):
    frames = made(30, (16, 16, 3), "u1", seed=6, station="jbs", start="2018-06-20T23:50:00.250")
    table, groups = frame_groups(frames), write_labelled(frames, tmp_path, "jang_bogo", weather="thin")
    for column in table.columns: assert groups[column].tolist() == table[column].tolist(), column
    assert set(groups.weather) == {"thin"} and (groups.time.to_numpy() == frames.time.values).all()
    masks = np.stack([read_mask(tmp_path / "masks" / f"{Path(file).stem}.png") for file in groups.file])
    assert (masks == frames.truth.values).all()
    assert (open_allsky(tmp_path / "images").time.values == frames.time.values).all()


def test_all_frames_of_a_night_go_to_one_folder(tmp_path):
    for day in range(8):
        groups = write_labelled(made(12, (16, 16, 3), "u1", day, "krn", f"2014-12-{day + 10}T22:00"), tmp_path, "kiruna",
                                test_share=0.5)
    folders = groups.assign(folder=[Path(file).parts[0] for file in groups.file]).groupby("night").folder.nunique()
    assert (folders == 1).all() and len(folders) == 8
    assert {Path(file).parts[0] for file in groups.file} == {"TrainingImages", "TestImages"}
    numbers = [int(name.split("class_")[-1].split(".")[0]) for name in groups.file]
    assert [CLASS_NAMES["kiruna"][number] for number in numbers] == groups.kiruna.tolist()


@given(st.integers(0, 10**9), st.sampled_from(["gill", "jbs", "yrs", "pkr"]))
@settings(max_examples=40, deadline=None)
def test_a_night_has_one_name_from_noon_to_noon(second, station):
    from aurora_nb.stations import find_station

    longitude = find_station(station).longitude
    local = np.datetime64("2000-01-01T12:00:01", "ns") + np.timedelta64(second // 86400 * 86400, "s")
    times = local - np.timedelta64(round(longitude * 240), "s") + np.arange(0, 86398, 3600) * np.timedelta64(1, "s")
    assert len(set(night_names(times, station))) == 1


def test_wrong_input_is_named(tmp_path):
    with pytest.raises(AuroraError, match=r"expected \(256, 256\)"): write_oath(made(40, (64, 64)), tmp_path)
    with pytest.raises(AuroraError, match="known: oath"): write_labelled(made(), tmp_path, "tame")
    with pytest.raises(AuroraError, match="found no oath"): write_oath(made().drop_vars("oath"), tmp_path)
    with pytest.raises(AuroraError, match="'curl'"): write_oath(made().assign(oath=("time", ["curl"] * 5)), tmp_path)
    assert oath_picture(np.full((256, 256), 7)).max() == 0


def test_simulated_night_in_every_layout(tmp_path):
    "What the simulator knew of its frames is what the files say."
    night = dict(duration="6min", cadence="2min", forms=["quiet_arc", "diffuse_band"], truths=("classes",), seed=3)
    frames = simulate_night("gill", "2015-01-20T05:00", camera="themis", **night)
    groups = write_oath(frames, tmp_path / "oath")
    assert groups.oath.tolist() == [name for name in frames.oath.values.tolist() if name]
    colour = simulate_night("jbs", "2018-06-15T08:00", camera=layouts_camera(), **night)
    groups = write_labelled(colour, tmp_path / "jbs", "jang_bogo")
    masks = [read_mask(tmp_path / "jbs/masks" / f"{Path(file).stem}.png") for file in groups.file]
    assert (np.stack(masks) == colour.truth.values).all() and groups.kiruna.tolist() == colour.kiruna.values.tolist()
    pictures = open_allsky(tmp_path / "jbs/images").image.values.astype(int)
    assert np.abs(pictures - colour.image.values).mean() < 2


def layouts_camera():
    from aurora_nb.simulate.camera import camera_preset

    return camera_preset("jang_bogo", size=120)


# beside the original


def numbered(count, seed=0):
    return pd.DataFrame({"oath": np.random.default_rng(seed).choice(CLASS_NAMES["oath"], count), "rotation": range(1, count + 1),
                         "station": "gill", "time": pd.date_range("2015-01-20", periods=count, freq="min")})


def test_oath_tables_are_laid_out_as_the_original(shared_data, tmp_path):
    layouts._oath_tables(tmp_path, numbered(5824))
    ours, theirs = tmp_path / "classifications", shared_data / "oath"
    assert (ours / "train_test_split.csv").read_bytes() == (theirs / "train_test_split.csv").read_bytes()
    lines = [(folder / "classifications.csv").read_text().splitlines() for folder in (ours, theirs)]
    assert len(lines[0]) == len(lines[1]) and lines[0][18] == lines[1][18] and lines[0][0] == lines[1][0] == lines[0][17]
    pattern = re.compile(r"[01],[0-5],\d{5},(arc|diffuse|discrete|cloudy|moon|noaurora),\d+")
    assert all(pattern.fullmatch(line) for part in lines for line in part[19:])
    tables = [pd.read_csv(folder / "classifications.csv", skiprows=18) for folder in (ours, theirs)]
    assert [dict(table.groupby("class6").picType.first()) for table in tables][0] == dict(enumerate(CLASS_NAMES["oath"]))
    assert dict(tables[1].groupby("class6").picType.first()) == dict(enumerate(CLASS_NAMES["oath"]))
    assert all((table.class2 == (table.class6 > 2)).all() for table in tables)


def test_oath_pictures_have_the_disc_and_scale_of_the_originals(shared_data):
    frames = simulate_night("gill", "2015-01-20T05:00", "2min", "2min", ["quiet_arc"])
    ours, filled = oath_picture(frames.image.values[0]), np.zeros((256, 256), bool)
    y, x = np.indices(filled.shape)
    disc = np.hypot(x - layouts.OATH_CENTRE[0], y - layouts.OATH_CENTRE[1]) <= layouts.OATH_RADIUS
    shares = [(ours[disc] == value).mean() for value in (0, 65535)]
    for file in sorted((shared_data / "oath").glob("*.png")):
        theirs = read_picture(file)[0]
        assert theirs[..., ::2].max() == 0 and theirs.shape == (256, 256, 3) and theirs.dtype == ours.dtype
        filled |= theirs[..., 1] > 0
        assert np.abs(np.subtract(shares, [(theirs[disc, 1] == value).mean() for value in (0, 65535)])).max() < 0.002
    assert (filled == disc).all() and ours[~disc].max() == 0


def test_rotation_is_clockwise_as_imagemagick_turns():
    picture = np.zeros((256, 256), "u2")
    picture[30:34, 126:130] = 60000
    for angle, (row, column) in {90: (128, 224), 180: (224, 128), 270: (128, 31)}.items():
        at = np.argwhere(turned(picture, angle) > 30000).mean(0)
        assert np.hypot(at[0] - row, at[1] - column) < 2

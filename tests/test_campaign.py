"""Campaigns: killed and resumed, the same bytes either way, opened by the package's own readers with truth intact."""
import hashlib
import os
import signal
import subprocess
import sys
import time as clock

import numpy as np
import pandas as pd
import pytest

from aurora_nb.core import AuroraError
from aurora_nb.readers.base import open_allsky
from aurora_nb.simulate.activity import programme
from aurora_nb.simulate.campaign import plan_campaign, read_nights, simulate_campaign
from aurora_nb.simulate.camera import camera_preset
from aurora_nb.simulate.layouts import CLASS_NAMES, read_groups, read_mask
from aurora_nb.simulate.night import simulate_frames

PLAN = dict(stations="gill", winter=2014, nights=3, hours=0.25, weather="clear", activity="active", seed=4)
RUN = """
from aurora_nb.simulate.campaign import plan_campaign, simulate_campaign
simulate_campaign(plan_campaign(**{plan!r}), {folder!r}, "oath", cadence="5min")
"""


def digests(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_killed_campaign_goes_on_to_the_same_files(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    simulate_campaign(plan_campaign(**PLAN), whole, "oath", cadence="5min")
    process = subprocess.Popen([sys.executable, "-c", RUN.format(plan=PLAN, folder=str(killed))], stderr=subprocess.DEVNULL)
    begin = clock.monotonic()
    while process.poll() is None and not (killed / "nights.csv").exists() and clock.monotonic() < begin + 120: clock.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it had ended before it could be killed"
    assert 1 <= len(read_nights(killed)) < 3
    simulate_campaign(plan_campaign(**PLAN), killed, "oath", cadence="5min")
    assert digests(killed) == digests(whole)
    assert not [name for name in digests(killed) if "tmp" in name or "partial" in name]


def again(plan, groups, camera, often):
    "The frames of a set, simulated once more without the campaign."
    for night, rows in groups.groupby("night"):
        row = plan.loc[pd.Timestamp(night[-8:])]
        forms = programme(row.station, row.start, f"{row.duration / pd.Timedelta('1s'):.0f}s", row.activity, row.seed, often)
        for frames in simulate_frames(row.station, rows.time.values, forms=forms, camera=camera, seed=row.seed,
                                      weather=row.weather, truths=("classes",)):
            for index, name in enumerate(rows.file): yield name, frames.isel(time=index)


@pytest.mark.parametrize("layout,station,camera", [("kiruna", "krn", "kiruna"), ("jang_bogo", "jbs", "jang_bogo"),
                                                   ("yellow_river", "yrs", "yellow_river")])
def test_sets_come_back_through_the_readers(layout, station, camera, tmp_path):
    camera = camera_preset(camera, size=128)
    options, often = (dict(local_time_range=(8, 11)), 8) if layout == "yellow_river" else ({}, 2)
    plan = plan_campaign(station, 2015, nights=2, hours=0.5, weather="clear", activity="moderate", seed=8, **options)
    groups = simulate_campaign(plan, tmp_path, layout, "10min", camera, often=often)
    assert len(groups) and groups.night.nunique() <= 2
    for name, frame in again(plan, groups, camera, often):
        read = open_allsky(tmp_path / name)
        assert (read.time.values[0].astype("datetime64[ms]") == frame.time.values.astype("datetime64[ms]"))
        difference = np.abs(read.image.values[0].astype(float) - frame.image.values)
        assert difference.mean() < (6 if name.endswith(".jpg") else 1e-9)
        row = groups.set_index("file").loc[name]
        assert [row[scheme] for scheme in CLASS_NAMES] == [str(frame[scheme].values[()] or "") for scheme in CLASS_NAMES]
        if layout == "jang_bogo":
            mask = read_mask(tmp_path / "masks" / name.split("/")[-1].replace(".jpg", ".png"))
            assert (mask == frame.truth.values).all()


def test_another_winter_differs(tmp_path):
    plan = plan_campaign("gill", 2014, nights=1, hours=0.25, weather="clear", activity="active", seed=4)
    new, old = (simulate_campaign(plan, tmp_path / str(age), "oath", "5min", age_years=age) for age in (0, 8))
    assert new.file.tolist() == old.file.tolist()
    pictures = [(tmp_path / str(age) / new.file[0]).read_bytes() for age in (0, 8)]
    assert pictures[0] != pictures[1]
    assert not plan.equals(plan_campaign("gill", 2015, nights=1, hours=0.25, weather="clear", activity="active", seed=4))


def test_a_class_is_drawn_at_most_so_often(tmp_path):
    plan = plan_campaign("gill", 2014, nights=1, hours=0.5, weather="overcast", seed=4)
    groups = simulate_campaign(plan, tmp_path, "oath", "3min", most_per_class=2)
    assert groups.groupby(["night", "oath"]).size().max() == 2
    assert len(read_groups(tmp_path)) == len(groups)


def test_another_plan_in_the_same_folder_is_refused(tmp_path):
    plan = plan_campaign("gill", 2014, nights=1, hours=0.25, weather="clear", seed=4)
    simulate_campaign(plan, tmp_path, "oath", "5min")
    with pytest.raises(AuroraError, match="another campaign.*Choose another folder"):
        simulate_campaign(plan.assign(seed=1), tmp_path, "oath", "5min")

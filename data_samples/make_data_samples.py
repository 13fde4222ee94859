"""Make the simulated sample nights of this folder again: `python data_samples/make_data_samples.py [folder]`.

The same version of the package gives the same bytes, except for netCDF and CDF files, whose contents are the same.
"""
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

from aurora_nb.geometry.skymap import save_skymap
from aurora_nb.simulate.activity import programme
from aurora_nb.simulate.camera import camera_preset, skymap_for
from aurora_nb.simulate.emission import MovingArc, StationaryArc
from aurora_nb.simulate.files import save_truth, write_azimuth_elevation, write_dasc_fits, write_pgm, write_pictures
from aurora_nb.simulate.files import write_themis_cdf
from aurora_nb.simulate.layouts import write_labelled
from aurora_nb.simulate.night import simulate_night
from aurora_nb.simulate.truth import class_table
from aurora_nb.simulate.weather import Light, find_weather

# moonless nights; day: activity, weather
GILL_NIGHTS = {18: ("moderate", "changing"), 19: ("active", "clear"), 20: ("moderate", "clear"), 21: ("quiet", "clear"),
               22: ("active", "clear")}
GILL_LIGHTS = (Light(35, 3e4, 0.0, 25.0, 3.0), Light(32, 2e5), Light(40, 5e4, 1.0), Light(230, 5e4, 1.0))  # a small town

YELLOW_RIVER_DAYS = {20: "quiet", 21: "moderate", 22: "active", 23: "moderate", 24: "quiet"}  # about new moon

# as Jee et al. 2021 found it: at the equatorward horizon in the evening, over the whole sky about 08 MLT
JANG_BOGO_FORMS = [
    StationaryArc(74.0, 0.8, 4000, noon_shift=6, local_time=21, flicker_seed=60),
    MovingArc(72.5, 1.0, 6000, noon_shift=8, local_time=8, speed_m_per_s=300, period_minutes=25, flicker_seed=61),
    MovingArc(74.5, 1.0, 6000, noon_shift=8, local_time=8, speed_m_per_s=-250, period_minutes=32, flicker_seed=62),
]


def small_skymap(camera, station, valid_from, path):
    "A skymap in single precision (1e-5 degrees), which is half the bytes."
    save_skymap(skymap_for(camera, station).astype("f4").assign_attrs(valid_from=valid_from), path)


def gill_night(day, start="01:00", duration="10h"):
    "A night of January 2015, or a part of it: the events of a programme, the lights of a small town, weather."
    activity, weather = GILL_NIGHTS[day]
    forms = programme("gill", f"2015-01-{day}T01:00", "10h", activity, seed=day)
    weather = replace(find_weather(weather, seed=day), lights=GILL_LIGHTS)
    return simulate_night("gill", f"2015-01-{day}T{start}", duration, forms=forms, camera="compact", weather=weather, seed=day)


def gill(folder):
    "Five nights of a THEMIS-like camera at Gillam, a frame a minute, as PGM; one hour of it as CDF in both layouts."
    small_skymap("compact", "gill", "2015-01-01", folder / "gill/skymap_gill.nc")
    classes = []
    for day in GILL_NIGHTS:
        night = gill_night(day)
        write_pgm(night, folder / "gill", period="1h")
        save_truth(night, folder / f"truth/gill_201501{day}.nc")
        classes.append(class_table(night)[["oath", "kiruna"]])
        if day == 20:
            hour = night.isel(time=slice(300, 360))
            write_themis_cdf(hour, folder / "gill_cdf/to_2023", "epoch")
            write_themis_cdf(hour, folder / "gill_cdf/from_2024", "time")
    table = pd.concat({"gill": pd.concat(classes)}, names=["station", "time"])
    table.to_csv(folder / "truth/gill_classes.csv", date_format="%Y-%m-%dT%H:%M:%S", lineterminator="\n")


def poker_flat(folder):
    "Six green-line frames of a DASC-like camera at Poker Flat with its azimuth and elevation files."
    camera = camera_preset("dasc", size=128)
    frames = simulate_night("pkr", "2015-10-07T10:00:00.500", "3min", "30s", camera=camera, seed=5)
    write_dasc_fits(frames, folder / "pkr")
    write_azimuth_elevation(skymap_for(camera, "pkr"), folder / "pkr/calibration", "2015-02-13")
    save_truth(frames, folder / "truth/pkr_20151007.nc")


def jang_bogo(folder):
    "A winter day of a colour camera at Jang Bogo, Antarctica, a picture every two minutes."
    camera = camera_preset("jang_bogo", size=112)
    # a picture averaged to 112 pixels would be freer of noise than any real one
    camera = replace(camera, sensor=replace(camera.sensor, read_noise=0.4, electrons_per_count=5))
    small_skymap(camera, "jbs", "2018-03-01", folder / "jbs/skymap_jbs.nc")
    frames = simulate_night("jbs", "2018-06-14T00:00", "24h", "2min", JANG_BOGO_FORMS, camera, seed=6)
    write_pictures(frames, folder / "jbs/20180614", "jbs_%Y%m%d_%H%M%S.jpg", quality=80)
    save_truth(frames, folder / "truth/jbs_20180614.nc")


def yellow_river_day(day, duration="12h"):
    "A dayside day of a 557.7 nm camera at the Yellow River Station, or its beginning, a picture every three minutes."
    start, activity = f"2003-12-{day}T02:45", YELLOW_RIVER_DAYS[day]
    forms = programme("yrs", start, "12h", activity, seed=day, often=6)
    return simulate_night("yrs", start, duration, "3min", forms, camera_preset("yellow_river", size=64), seed=day,
                          truths=("classes",))


def yellow_river(folder):
    "Five dayside days, those pictures that have a class."
    for day in YELLOW_RIVER_DAYS: write_labelled(yellow_river_day(day), folder / "yrs", "yellow_river")


def main(folder):
    "All samples into `folder`; what stood there before is removed."
    for name in ("gill", "gill_cdf", "pkr", "jbs", "yrs", "truth"): shutil.rmtree(folder / name, ignore_errors=True)
    for make in (gill, poker_flat, jang_bogo, yellow_river): make(folder)
    files = [file for file in folder.rglob("*") if file.is_file()]
    print(f"{len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)

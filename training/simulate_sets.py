"""The simulated sets that the models are trained and tested on: python training/simulate_sets.py [name ...]

In sets for training forms take turns (all classes equally often), and some nights are as nights are; each scheme is tested on later winters, other nights
and other stations, once with turns ("balanced") and once as nights are ("natural"). A set that was begun is gone on with.
"""
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from aurora_nb.core import progress
from aurora_nb.simulate.activity import programme
from aurora_nb.simulate.camera import camera_preset
from aurora_nb.simulate.campaign import WEATHERS, plan_campaign, simulate_campaign
from aurora_nb.simulate.turns import turns

SETS = Path(__file__).parent / "sets"
FAIR = {"clear": 5, "lamps": 1, "thin": 1, "haze": 0.5}  # cloudy frames have no class at Kiruna and Yellow River
DAY = (6, 18)  # magnetic local time of the Yellow River's sets
# a THEMIS camera without noise, so that "nothing but noise" is not what a sky without aurora is known by
QUIET = replace(camera_preset("themis"), name="themis_quiet", sensor=camera_preset("compact").sensor,
                counts_per_rayleigh=camera_preset("compact").counts_per_rayleigh)
MANITOBA, ALBERTA = ["gill", "fsmi", "gako"], ["inuv", "snkq", "whit"]


def part(stations, winter, nights, hours, cadence, scheme, layout=None, camera=None, size=256, drawn=None, weather=FAIR,
         local_time=None, age=0.0, often=1.0, seed=0):
    "One winter of a set: arguments of `plan_campaign` and `simulate_campaign`."
    plan = dict(stations=stations, winter=winter, nights=nights, hours=hours, weather=weather, local_time_range=local_time, seed=seed)
    made = dict(layout=layout or scheme, cadence=cadence, age_years=age, often=often,
                camera=camera_preset(camera or {"oath": "themis"}.get(scheme, scheme), size),
                programme=partial(turns, scheme=scheme) if drawn == "turns" else programme)
    return plan, made


WINTERS = range(2004, 2009)
yellow_river = partial(part, ["yrs"], scheme="yellow_river", local_time=DAY)
kiruna, oath = partial(part, ["krn"], scheme="kiruna"), partial(part, scheme="oath", weather=WEATHERS)
PLAN = {
    "yellow_river_train": [yellow_river(2003, 40, 2.0, "1min", drawn="turns"), yellow_river(2003, 40, 3.0, "3min", often=6, seed=1)],
    "yellow_river_balanced": [yellow_river(winter, 8, 1.5, "2min", drawn="turns", age=winter - 2003, seed=winter) for winter in WINTERS],
    "yellow_river_natural": [yellow_river(winter, 10, 3.0, "3min", age=winter - 2003, often=6, seed=winter) for winter in WINTERS],
    "kiruna_train": [kiruna(winter, 45, 2.0, "2min", drawn="turns", age=max(0, winter - 2011)) for winter in (2009, 2010, 2011, 2012)]
                    + [kiruna(2012, 60, 4.0, "6min", age=1, often=2, seed=1)],
    "kiruna_balanced": [kiruna(winter, 8, 1.5, "2min", drawn="turns", age=winter - 2011, seed=7) for winter in (2013, 2014, 2015)],
    "kiruna_natural": [kiruna(winter, 10, 4.0, "6min", age=winter - 2011, often=2, seed=7) for winter in (2013, 2014, 2015)],
    "oath_train": [oath(MANITOBA, 2008, 60, 1.5, "2min", drawn="turns", age=1), oath(MANITOBA, 2009, 60, 6.0, "8min", age=2),
                   oath(MANITOBA, 2010, 30, 1.0, "2min", drawn="turns", camera=QUIET), oath(MANITOBA, 2011, 40, 6.0, "10min", camera=QUIET),
                   oath(["pkr"], 2012, 20, 6.0, "10min", camera="dasc")],
    "oath_natural": [oath(ALBERTA, 2012, 40, 6.0, "6min", age=5, seed=7)],
    "oath_colour": [oath(["kho"], 2013, 20, 1.5, "2min", drawn="turns", layout="jang_bogo", camera="longyearbyen", seed=3),
                    oath(["kho"], 2014, 15, 6.0, "10min", layout="jang_bogo", camera="longyearbyen_movie", seed=3)],
    "jang_bogo_train": [part(["jbs"], 2014, 30, 5.0, "6min", "jang_bogo")],  # fair weather: masks are of what was there, also behind clouds
    "jang_bogo_later": [part(["jbs"], 2015, 20, 1.5, "1min", "jang_bogo", age=1, seed=7)],
}


def simulate_set(name):
    "Write a set, winter by winter, each in a folder of its own."
    for plan, made in progress(PLAN[name], name):
        kind = "turns" if isinstance(made["programme"], partial) else "nights"
        simulate_campaign(plan_campaign(**plan), SETS / name / f"{plan['winter']}_{kind}", **made)


if __name__ == "__main__":
    for name in sys.argv[1:] or PLAN: simulate_set(name)

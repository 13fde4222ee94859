"""The full-size comparisons that the tutorials show: python training/compare.py kiruna|ablation|yellow_river

Each writes training/results/NAME.csv after every network and goes on where it was stopped. Small pictures, narrow fully
connected layers, a third of Kiruna's training frames and few epochs, so that a core of a processor does each in an hour;
what was used stands here and beside the tables.
"""
import sys
import warnings
from dataclasses import replace
from pathlib import Path

from open_sets import PREPARATION, open_scheme

from aurora_nb.families.ablation import FROM_SCRATCH, Run, compare_families, judged_runs, planned_runs
from aurora_nb.families.comparison import compare_networks
from aurora_nb.learn.augment import augment_for

HERE = Path(__file__).parent
SEEDS, THIRD = (0, 1), slice(None, None, 3)
RATES = {"vgg16": 2e-4, "alexnet": 1e-3, "inception_v4": 2e-3}  # chosen on validation nights
NARROW = {"alexnet": {"width": 512}, "vgg16": {"mlp_ratio": 0.125}}  # instead of 4096


def kept(name): return {"results": HERE / f"results/{name}.csv", "low_precision": True, "tell": print}


def kiruna():
    "System 3: five networks, four modern ones and the simple methods; seven classes, later winters."
    table, splits = open_scheme("kiruna")
    split = splits["kiruna_balanced"]
    compare_networks(table, replace(split, train=split.train[THIRD]), preparation=replace(PREPARATION["kiruna"], size=64), epochs=12, batch=32,
                     rate=2e-3, rates=RATES, augment=augment_for("kiruna"), options=NARROW, **kept("kiruna_networks"))


def yellow_river_options(size):
    "What all runs of system 5 share."
    table, splits = open_scheme("yellow_river")
    return (table, splits["yellow_river_balanced"]), dict(preparation=replace(PREPARATION["yellow_river"], size=size), cache=HERE / "sets",
                                                          augment=augment_for("yellow_river"), settings=FROM_SCRATCH, options=NARROW)


def ablation_of_both():
    "System 5, Fig. 5: transformer and margin, plain AlexNet and ours from two starts, and ours with the least lambda."
    sets, options = yellow_river_options(64)
    runs = planned_runs() + [replace(run, seed=seed) for seed in SEEDS[1:] for run in (Run(margin=1, transformer=False), Run())]
    runs += planned_runs(margins=(3,), transformers=(True,), least_lambdas=(5.0, 1.0))
    judged_runs(*sets, runs, epochs=8, **options, **kept("yellow_river_ablation"))


def yellow_river():
    "System 5, Tables I and II."
    sets, options = yellow_river_options(80)  # Inception-v4 takes no fewer pixels than 75
    compare_families(*sets, epochs=8, rates=RATES, **options, **kept("yellow_river_networks"))


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "no image of class")
    for name in sys.argv[1:]: {"kiruna": kiruna, "ablation": ablation_of_both, "yellow_river": yellow_river}[name]()

"""The full-size comparisons that the tutorials show: python training/compare.py kiruna|ablation|yellow_river

Each writes training/results/NAME.csv after every network and goes on where it was stopped. Pictures of 96 pixels and few
epochs, so that two cores of a processor do it in an hour or two; sizes and epochs stand in the tables.
"""
import sys
import warnings
from dataclasses import replace
from pathlib import Path

from open_sets import PREPARATION, open_scheme

from aurora_nb.families.ablation import FROM_SCRATCH, ablation, compare_families
from aurora_nb.families.comparison import compare_networks
from aurora_nb.learn.augment import augment_for

HERE = Path(__file__).parent
SIZE, SEEDS = 96, (0, 1)
RATES = {"vgg16": 2e-4, "alexnet": 1e-3, "inception_v4": 2e-3}  # chosen on validation nights


def kept(name): return {"results": HERE / f"results/{name}.csv", "low_precision": True, "tell": print}


def kiruna():
    "System 3: five networks, four modern ones and the simple methods; seven classes, later winters."
    table, splits = open_scheme("kiruna")
    compare_networks(table, splits["kiruna_balanced"], preparation=replace(PREPARATION["kiruna"], size=SIZE), epochs=10, rate=2e-3,
                     rates=RATES, augment=augment_for("kiruna"), **kept("kiruna_networks"))


def yellow_river_options():
    "What all runs of system 5 share."
    table, splits = open_scheme("yellow_river")
    return (table, splits["yellow_river_balanced"]), dict(preparation=replace(PREPARATION["yellow_river"], size=SIZE), augment=augment_for("yellow_river"),
                                                          settings=FROM_SCRATCH, cache=HERE / "sets")


def ablation_of_both():
    "System 5, Fig. 5: transformer and margin, and the least lambda."
    sets, options = yellow_river_options()
    ablation(*sets, seeds=SEEDS, epochs=8, **options, **kept("yellow_river_ablation"))


def yellow_river():
    "System 5, Tables I and II."
    sets, options = yellow_river_options()
    compare_families(*sets, epochs=8, rates=RATES, **options, **kept("yellow_river_networks"))


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "no image of class")
    for name in sys.argv[1:]: {"kiruna": kiruna, "ablation": ablation_of_both, "yellow_river": yellow_river}[name]()

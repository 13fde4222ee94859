"The simulated sets as labelled tables, with the split that every training and comparison uses."

import numpy as np
import pandas as pd
from simulate_sets import PLAN, SETS

from aurora_nb.core import AuroraError
from aurora_nb.learn.datasets import open_labelled
from aurora_nb.learn.parts import Split, check_split
from aurora_nb.learn.preparation import Preparation
from aurora_nb.learn.splits import split_by
from aurora_nb.learn.tables import table_classes

TRAINING = {"oath": ("oath_train", "oath_colour"), "kiruna": ("kiruna_train",), "yellow_river": ("yellow_river_train",)}
TESTS = {scheme: tuple(name for name in PLAN if name.startswith(scheme) and name.endswith(("balanced", "natural")))
         for scheme in TRAINING}
GROUPS = {"oath": "hour"}  # of one station; others are split by night
PREPARATION = {"oath": Preparation(96), "yellow_river": Preparation(128),
               "kiruna": Preparation(96, bands=3, stretch="range", crop=1.0)}  # faint and low light have classes of their own


def open_part(folder, scheme):
    "One winter of a set; colour cameras lie in another layout and have their classes in groups.csv."
    if folder.name and not (folder / "masks").exists(): return open_labelled(folder, scheme)
    groups = pd.read_csv(folder / "groups.csv", keep_default_na=False)
    groups = groups[groups[scheme] != ""].assign(file=lambda rows: [str(folder / name) for name in rows.file])
    return open_labelled(groups.reset_index(drop=True), "table", columns={"label": scheme}, classes=scheme)


def open_set(scheme, *names):
    "All winters of some sets as one table, with columns `set` and `part`."
    parts = [(name, folder) for name in names for folder in sorted((SETS / name).glob("*/"))]
    if not parts: raise AuroraError(f"{SETS}: found none of {', '.join(names)}. Make them: python training/simulate_sets.py")
    tables = [open_part(folder, scheme).assign(set=name, part=folder.name) for name, folder in parts]
    whole = pd.concat(tables, ignore_index=True)
    whole.attrs = {**tables[0].attrs, "folder": str(SETS), "problem_files": {}}
    return whole


def open_scheme(scheme):
    "The whole table of a scheme and, for each of its tests, the split: groups of the training winters, later winters."
    table = open_set(scheme, *TRAINING[scheme], *TESTS[scheme])
    own = table.index[table.set.isin(TRAINING[scheme])].to_numpy()
    part = table.loc[own].reset_index(drop=True)
    part.attrs = table.attrs
    group = GROUPS.get(scheme, "night")
    held = split_by(part, group, test=0.1, valid=0.1, seed=0)
    train, valid, test = own[held.train], own[held.valid], own[held.test]
    splits = {}
    if scheme in GROUPS: splits[f"{scheme}_{group}s"] = check_split(table, Split(train, valid, test, group, f"{scheme}_{group}s"))
    else: valid = np.sort(np.concatenate([valid, test]))  # both parts that are held back serve validation
    for name in TESTS[scheme]:
        splits[name] = check_split(table, Split(train, valid, table.index[table.set == name].to_numpy(), group, name))
    return table, splits


def describe(table):
    "What a set holds, in one line."
    counts = table.label.value_counts()
    return (f"{len(table)} pictures of {table.night.nunique()} nights, {', '.join(table.part.unique())}: "
            + ", ".join(f"{name} {counts.get(name, 0)}" for name in table_classes(table)))


if __name__ == "__main__":
    for scheme in TRAINING:
        table, splits = open_scheme(scheme)
        for name in table.set.unique(): print(f"{name}: {describe(table[table.set == name])}")
        for split in splits.values(): print(split)

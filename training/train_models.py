"""Train the three classifiers that the package ships, score them on later winters, write cards and score tables:
python training/train_models.py [oath kiruna yellow_river]; about twenty minutes each on one core"""
import sys
from pathlib import Path

import pandas as pd
import torch
from open_sets import PREPARATION, TRAINING, describe, open_scheme

from aurora_nb.core import whole_file
from aurora_nb.families.convnets import convnets_learner, network_outputs
from aurora_nb.learn.augment import augment_for
from aurora_nb.learn.calibration import fit_temperature, scaled_probabilities
from aurora_nb.learn.evaluate import classification_report
from aurora_nb.learn.images import prepared_images
from aurora_nb.learn.leakage import leakage_report
from aurora_nb.learn.loaders import classification_dls, test_loader
from aurora_nb.learn.saved import classifier_from, model_card, save_model

HERE = Path(__file__).parent
MODELS, RESULTS = HERE.parent / "aurora_nb/data/models", HERE / "results"
EPOCHS = {"oath": 20, "kiruna": 45, "yellow_river": 12}
LIMITS = {"oath": "Trained on simulated skies alone. Of 67 real frames labelled by eye (THEMIS, Longyearbyen, a movie) it told aurora "
                  "from none in 93 %, the form in 61 %: bands of an active sky are called diffuse, thin cloud hides aurora.",
          "kiruna": "Trained and tested on simulated skies alone; the published class criteria are not known.",
          "yellow_river": "Trained and tested on simulated skies alone; knows no picture without aurora or under cloud."}


def trained(scheme, table, split, images):
    "A small network trained from scratch, and its temperature from the validation nights."
    torch.manual_seed(0)
    dls = classification_dls(table, split, PREPARATION[scheme], augment=augment_for(scheme), balanced=True, images=images)
    learner = convnets_learner(dls, "small_resnet", smoothing=0.05, low_precision=True, weight_decay=0.05)
    with learner.no_bar(): learner.fit_one_cycle(EPOCHS[scheme], 3e-3)
    return learner, fit_temperature(network_outputs(learner.model, dls.valid), table.label.to_numpy()[split.valid], dls.vocab)


def tested(learner, temperature, table, split, images):
    "Report on a test, resampled by night, with its leakage figure."
    loader = test_loader(table, split.test, images.preparation, images=images)
    chances = scaled_probabilities(network_outputs(learner.model, loader), temperature)
    rows = table.loc[split.test]
    return classification_report(rows.label, chances, learner.dls.vocab, rows.night, leakage_report(table, split))


def make(scheme):
    "Train, test, save."
    table, splits = open_scheme(scheme)
    images = prepared_images(table, PREPARATION[scheme], cache=HERE / "sets" / f"{scheme}.npz")
    learner, temperature = trained(scheme, table, next(iter(splits.values())), images)
    reports = {name: tested(learner, temperature, table, split, images) for name, split in splits.items()}
    for name, report in reports.items():
        print(f"\n{name}\n{report}")
        for part in ("summary", "per_class", "confusion"):
            with whole_file(RESULTS / f"{name}_{part}.csv") as path: getattr(report, part).to_csv(path, float_format="%.4f")
    own = table[table.set.isin(TRAINING[scheme])]
    last = list(splits)[-1]
    card = model_card(f"simulated: {describe(own)}", "by night; tested on later winters of other seeds, weather and camera age",
                      reports[last], limits=LIMITS[scheme], script=f"python training/train_models.py {scheme}",
                      tested_on=f"{last}: {describe(table[table.set == last])}", epochs=EPOCHS[scheme])
    save_model(classifier_from(learner, card, temperature, "1", scheme), MODELS / f"{scheme}.safetensors")


if __name__ == "__main__":
    pd.set_option("display.width", 160)
    MODELS.mkdir(exist_ok=True)
    for scheme in sys.argv[1:] or TRAINING: make(scheme)

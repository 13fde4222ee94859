"""Train the light network for auroral masks that the package ships, score it on nights of its own winter and on a later one, and write
the tables: python training/train_masks.py; about an hour on one core"""
from dataclasses import replace

import numpy as np
import torch
from simulate_sets import PLAN, SETS
from train_models import MODELS, RESULTS

from aurora_nb.core import whole_file
from aurora_nb.families.masking import predict_masks
from aurora_nb.families.segmentation import choose_threshold, segmentation_learner, threshold_curve
from aurora_nb.frames import build_frames
from aurora_nb.geometry.cells import cells_to_pixels, equal_area_cells
from aurora_nb.learn.datasets import open_labelled
from aurora_nb.learn.evaluate import segmentation_report
from aurora_nb.learn.images import prepared_images
from aurora_nb.learn.mask_loaders import MASK_PREPARATION, segmentation_dls
from aurora_nb.learn.saved import classifier_from, model_card, save_model
from aurora_nb.learn.splits import split_by
from aurora_nb.processing.difference import difference_mask
from aurora_nb.readers.pictures import read_picture
from aurora_nb.simulate.camera import skymap_for

EPOCHS, BATCH = 20, 16
LIMITS = ("Trained and tested on simulated skies alone, in fair weather: what clouds hide it does not know of. Aurora fainter than about 1 kR "
          "was not called aurora.")


def open_winter(name):
    "One winter as a table of pictures and masks."
    folder = next((SETS / name).glob("*/"))
    return open_labelled(folder, "jbs_masks")


def trained(table, split):
    "The network, and the threshold that is best on the validation nights."
    torch.manual_seed(0)
    images = prepared_images(table, MASK_PREPARATION, cache=SETS / "jang_bogo.npz")
    dls = segmentation_dls(table, split, batch=BATCH, augment=True, images=images)
    learner = segmentation_learner(dls, "unet_small", low_precision=True)
    with learner.no_bar(): learner.fit_one_cycle(EPOCHS, 3e-3)
    curve = threshold_curve(learner, dls.valid)
    return learner, curve, choose_threshold(curve)


def judged(model, table, rows, skymap, compared=False):
    "Report on these rows, beside the difference of frames a minute apart where the winter has them."
    rows = table.loc[rows].sort_values(["night", "time"]).reset_index(drop=True)
    pictures, truth = (np.stack([read_picture(path)[0] for path in rows[column]]) for column in ("file", "mask"))
    truth = truth.reshape(*truth.shape[:3], -1).max(-1) > 0
    frames = build_frames(pictures, rows.time.to_numpy(), station="jbs", camera="jang_bogo")
    masks = predict_masks(model, frames, skymap=skymap)
    other = None
    if compared:
        cells = equal_area_cells(skymap, 400, min_elevation_deg=10)
        other = {"difference": cells_to_pixels(difference_mask(frames, cells), cells)}
    return segmentation_report(truth, masks.mask, rows.night, skymap, rows[["night", "time"]], threshold=model.threshold, other=other)


def keep(report, name):
    "The tables of a report, as CSV."
    print(f"\n{name}\n{report}")
    for part in ("summary", "by_elevation", "by_motion", "by_condition", "curve"):
        with whole_file(RESULTS / f"{name}_{part}.csv") as path: getattr(report, part).to_csv(path, float_format="%.4f")


def make():
    "Train, test, save."
    table, later = open_winter("jang_bogo_train"), open_winter("jang_bogo_later")
    split = split_by(table, "night", test=0.1, valid=0.1, seed=0)
    learner, curve, threshold = trained(table, split)
    print(f"best threshold on validation nights: {threshold:g}, IoU there {curve.iou.max():.3f}")
    model = classifier_from(learner)  # the threshold stays 0.5
    skymap = skymap_for(PLAN["jang_bogo_train"][0][1]["camera"], "jbs")
    keep(judged(model, table, split.test, skymap), "jang_bogo_nights")
    report = judged(model, later, later.index, skymap, compared=True)
    keep(report, "jang_bogo_later")
    scores = dict(zip(report.summary.index, report.summary[["value", "low", "high"]].to_numpy()))
    card = model_card(f"simulated: {len(table)} frames of {table.night.nunique()} nights at Jang Bogo, winter 2014",
                      f"by night; tested on {later.night.nunique()} nights of the next winter, other seeds, camera a year older", scores,
                      limits=LIMITS, script="python training/train_masks.py", epochs=EPOCHS)
    save_model(replace(model, card=card, version="1"), MODELS / "jang_bogo.safetensors")


if __name__ == "__main__": make()

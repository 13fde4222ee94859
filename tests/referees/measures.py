"Numbers that compare two sets of all-sky pictures: distances of features, brightness, spectra, stars, steadiness."
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

SIDE = 224          # pixels of a cropped disc, the input of the encoder
LOWEST_DEG = 15.0   # elevation of the rim of every disc: below it trees, houses and the crop of OATH differ too much


def disc_mask(side: int = SIDE) -> np.ndarray:
    "Booleans (side, side): inside the circle that touches the edges."
    y, x = np.indices((side, side)) - (side - 1) / 2
    return np.hypot(x, y) <= side / 2


def crop_disc(images, disc, side: int = SIDE) -> np.ndarray:
    "The disc (x, y, radius across and down; pixels) of pictures (n, y, x[, band]), (n, side, side[, band]) float32."
    x0, y0, across, down = disc
    place = (np.arange(side) - (side - 1) / 2) / (side / 2)
    rows, columns = np.meshgrid(y0 + place * down, x0 + place * across, indexing="ij")
    blur = [max(0.0, 0.45 * (2 * radius / side - 1)) for radius in (down, across)]  # no aliasing where it shrinks

    def one(image):
        image = np.asarray(image, np.float32)
        if image.ndim == 3: return np.stack([one(band) for band in np.moveaxis(image, -1, 0)], -1)
        image = gaussian_filter(image, blur) if max(blur) > 0.05 else image
        return map_coordinates(image, (rows, columns), order=1, mode="nearest")

    inside = disc_mask(side)
    return np.stack([np.where(inside if found.ndim == 2 else inside[..., None], found, 0)
                     for found in map(one, images)])


def scale_like_oath(discs) -> np.ndarray:
    "0..1 between the 1st and 99th percentile inside each disc, grey or all bands together; 0 outside."
    inside = disc_mask(discs.shape[1])
    low, high = np.percentile(discs[:, inside].reshape(len(discs), -1), (1, 99), axis=1)
    shape = (-1,) + (1,) * (discs.ndim - 1)
    scaled = np.clip((discs - low.reshape(shape)) / np.maximum(high - low, 1e-6).reshape(shape), 0, 1)
    return np.where(inside if discs.ndim == 3 else inside[..., None], scaled, 0).astype(np.float32)


def scale_fixed(discs, limits) -> np.ndarray:
    "0..1 between two fixed counts, the same for every frame of a kind of camera: keeps level and contrast."
    inside = disc_mask(discs.shape[1])
    scaled = np.clip((discs - limits[0]) / (limits[1] - limits[0]), 0, 1)
    return np.where(inside if discs.ndim == 3 else inside[..., None], scaled, 0).astype(np.float32)


def grey(images) -> np.ndarray:
    "Mean of the bands, where there are bands."
    return images.mean(-1) if images.ndim == 4 else images


# Distances of features

def kernel_distance(first, second) -> float:
    "Squared maximum mean discrepancy, unbiased, with the kernel (x.y/d + 1)^3 of the kernel inception distance."
    def kernel(a, b): return (a @ b.T / a.shape[1] + 1) ** 3
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if min(len(first), len(second)) < 2: return np.nan
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kernel(first, first), kernel(second, second))]
    return float(sum(within) - 2 * kernel(first, second).mean())


def kernel_inception_distance(first, second, subsets: int = 100, largest: int = 50, seed: int = 0) -> tuple:
    "Mean over random subsets of `kernel_distance`, and the 5th and 95th percentile of the subsets."
    size = min(largest, max(2, round(0.6 * min(len(first), len(second)))))
    if min(len(first), len(second)) < 2: return np.nan, np.nan, np.nan
    rng = np.random.default_rng(seed)
    found = [kernel_distance(*(part[rng.choice(len(part), size, replace=False)] for part in (first, second)))
             for _ in range(subsets)]
    return (float(np.mean(found)), *np.percentile(found, (5, 95)).tolist())


# Brightness

LEVELS = np.arange(1, 100)


def brightness_quantiles(discs) -> np.ndarray:
    "Percentiles 1 to 99 of each disc, (n, 99), in the unit of the picture."
    values = grey(discs)[:, disc_mask(discs.shape[1])]
    return np.percentile(values, LEVELS, axis=1).T


def quantile_distance(first, second) -> float:
    "Mean distance of two mean quantile curves: the 1-Wasserstein distance of the histograms between p1 and p99."
    return float(np.abs(np.mean(first, 0) - np.mean(second, 0)).mean())


def own_units(quantiles) -> np.ndarray:
    "Quantile curves in units of the disc's own p1 (0) to p99 (1)."
    low, high = quantiles[:, :1], quantiles[:, -1:]
    return (quantiles - low) / np.maximum(high - low, 1e-6)


# Texture

BANDS = {"large": (2, 6), "middle": (6, 20), "small": (20, 55), "grain": (55, 110)}  # waves across the disc


def radial_power(discs) -> np.ndarray:
    "Power of each disc by waves across it, (n, side/2), after a Hann window that ends at the rim; without the mean."
    discs = grey(discs)
    side = discs.shape[1]
    y, x = np.indices((side, side)) - (side - 1) / 2
    window = np.where(np.hypot(x, y) < side / 2, 0.5 + 0.5 * np.cos(2 * np.pi * np.hypot(x, y) / side), 0)
    mean = (discs * window).sum((1, 2), keepdims=True) / window.sum()
    power = np.abs(np.fft.fft2((discs - mean) * window)) ** 2 / np.square(window).sum()
    waves = np.rint(np.hypot(*np.meshgrid(*[np.fft.fftfreq(side) * side] * 2))).astype(int).ravel()
    total = np.stack([np.bincount(waves, one.ravel())[:side // 2] for one in power])
    return total / np.bincount(waves)[:side // 2]


def band_power(power, band) -> np.ndarray:
    "Share of the power (summed over the ring, n) between two numbers of waves."
    low, high = BANDS[band]
    ring = power * np.arange(power.shape[1])
    return ring[:, low:high].sum(1) / ring[:, 2:110].sum(1)


def spectrum_distance(first, second) -> float:
    "Root mean square difference of two mean spectra in decades, 2 to 110 waves, each scaled to equal total power."
    shapes = [np.log10(np.mean(power[:, 2:110] / power[:, 2:110].sum(1, keepdims=True), 0))
              for power in (first, second)]
    bins = np.geomspace(2, 110, 20)
    steps = [[shape[(np.arange(2, 110) >= low) & (np.arange(2, 110) < high)].mean() for shape in shapes]
             for low, high in zip(bins, bins[1:]) if ((np.arange(2, 110) >= low) & (np.arange(2, 110) < high)).any()]
    return float(np.sqrt(np.mean(np.square(np.diff(steps, axis=1)))))


# Stars

def star_counts(images, disc) -> np.ndarray:
    "Number of star pixels inside the disc of each picture of a camera's own size."
    from aurora_nb.processing.quality import star_pixels  # imported here: the other numbers need no package
    x0, y0, across, down = disc
    y, x = np.indices(images.shape[1:3])
    inside = np.hypot((x - x0) / across, (y - y0) / down) <= 0.97
    return np.array([star_pixels(image, inside).sum() for image in grey(images)])


# From frame to frame

def steadiness(discs) -> dict:
    "Of frames in a row: change of the whole picture, change of its large forms, noise, share of fixed grain."
    discs = grey(discs).astype(np.float64)
    inside = disc_mask(discs.shape[1])
    if len(discs) < 2: return dict(change=np.nan, slow_change=np.nan, noise=np.nan, fixed_grain=np.nan)
    smooth = np.stack([gaussian_filter(disc, 4) for disc in discs])
    grain = (discs - smooth)[:, inside]
    spread = np.subtract(*np.percentile(discs[:, inside], (99, 1), axis=1)).mean()

    def pairs(values): return np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(values, values[1:])])
    noise = 1.4826 * np.median(np.abs(np.diff(grain, axis=0))) / np.sqrt(2)
    return dict(change=pairs(discs[:, inside]), slow_change=pairs(smooth[:, inside]), noise=noise / spread,
                fixed_grain=1 - pairs(grain))

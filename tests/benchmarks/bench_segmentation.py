"""Masks of Frames: `predict_masks` from files to masks on the frames' pixels, against the bare network; and its memory.

JPEG files in colour (as of Jang Bogo), opened lazily, masks of their size out, on one side; on the other the network alone on
prepared pictures, as it is and with its normalisations fused as `predict_masks` has it. Taken in turns in one process, and in
time of the processor, all threads together: on a processor whose cores are all busy with the network, what threads prepare beside it
costs as much as if it waited, and others on the machine do not disturb. (On a GPU the processor's work is hidden behind it.)
"""
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from bench_predict import bare
from harness import Row, in_python

MEMORY = """
import json, sys
sys.path.insert(0, sys.argv[2])
from harness import peak_memory_mb
from bench_predict import lazy_frames
from bench_segmentation import untrained
from aurora_nb.families.masking import iterate_masks
model = untrained("unet_small", 32, 1, channels=(4, 8), wide=(6, 4))
frames = sum(len(part.time) for part in iterate_masks(model, lazy_frames(int(sys.argv[1])), batch=32))
print(json.dumps(dict(peak=peak_memory_mb(), frames=frames)))
"""


def in_turns(functions, times=2):
    "Shortest processor seconds of each of several functions, called one after the other."
    seconds = [[] for _ in functions]
    for function in functions: function()
    for _ in range(times):
        for held, function in zip(seconds, functions):
            start = time.process_time()
            function()
            held.append(time.process_time() - start)
    return [min(held) for held in seconds]


def untrained(name, size, bands=3, **options):
    "A Segmenter whose network has learned nothing; it takes as long as one that has."
    from aurora_nb.learn.mask_networks import build_mask_network
    from aurora_nb.learn.preparation import Preparation
    from aurora_nb.learn.saved import Segmenter
    preparation = Preparation(size=size, bands=bands, crop=1.0)
    return Segmenter(build_mask_network(name, bands=bands, size=size, **options), ("aurora",), "jbs_masks", preparation)


def jpeg_frames(folder, count, size):
    "Lazy Frames of colour JPEG files."
    from PIL import Image
    from aurora_nb.readers.base import open_allsky
    y, x = np.indices((size, size)) / size
    rng = np.random.default_rng(0)
    for number in range(count):
        arc = 150 * np.exp(-((y - number / count - 0.1 * x) / 0.03) ** 2)
        image = rng.poisson(20 + arc[..., None] * [0.3, 1, 0.3]).clip(0, 255).astype("u1")
        Image.fromarray(image).save(folder / f"jbs_20180614_{number // 60:02d}{number % 60:02d}00.jpg", quality=92)
    return open_allsky(folder, load=False)


def rows() -> Iterator[Row]:
    "Ratios of one run."
    import torch
    from aurora_nb.families.masking import predict_masks
    from aurora_nb.learn.saved import faster
    warnings.filterwarnings("ignore")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads of torch that wait for each other would count as work
    folder = Path(tempfile.mkdtemp(prefix="bench_segmentation_"))
    try:
        frames = jpeg_frames(folder, 24, 512)
        for name, size, count in (("fcn_resnet50", 192, 16), ("unet_small", 192, 24), ("unet_small", 128, 24)):
            model, some = untrained(name, size), frames.isel(time=slice(count))
            held = some.compute()
            ours, loaded, network, fused = in_turns([lambda: predict_masks(model, some), lambda: predict_masks(model, held),
                                                     bare(model, count, 8), bare(faster(model), count, 8)], 1 if count < 20 else 2)
            what = f"{count} colour frames of 512 x 512, {name} at {size} px"
            note = f"{1000 * network / count:.1f} ms of the processor a frame alone, {1000 * fused / count:.1f} fused"
            yield Row(f"{what}: JPEG files to masks", ours, network, "the network alone", "within 1.1", note=note)
            yield Row(f"{what}: JPEG files to masks", ours, fused, "the network alone, fused")
            yield Row(f"{what}: Frames in memory to masks", loaded, network, "the network alone", "within 1.1")
            yield Row(f"{what}: Frames in memory to masks", loaded, fused, "the network alone, fused")
        few, many = (in_python(MEMORY, count, Path(__file__).parent) for count in (1_000, 10_000))
        yield Row(f"peak memory of the masks of {many['frames']:,} frames, batch by batch", many["peak"], few["peak"],
                  f"of {few['frames']:,} frames", "within 1.1", "MB")
    finally:
        torch.set_num_threads(threads)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for row in rows(): print(row, f"x{row.ratio:.2f}", row.met, file=sys.stderr)

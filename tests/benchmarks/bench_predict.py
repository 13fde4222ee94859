"""Judging frames: `predict_files` against the bare network, against fastai's `get_preds` on the same files, and its memory.

Times are taken in turns in one process, with as many threads of torch as there are cores: files in (gz streams of THEMIS,
16-bit PNG), table out, on one side; on the other side the network alone on prepared pictures, or fastai with pictures that
Pillow makes 8 bits deep, Resize, and as many worker processes as there are cores.
"""
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from bench_reading import make_hour
from harness import Row, in_python

NAMES = ("arc", "diffuse", "discrete", "cloudy", "moon", "noaurora")
MEMORY = """
import json, sys
import numpy as np
sys.path.insert(0, sys.argv[2])
from harness import peak_memory_mb
from bench_predict import lazy_frames, untrained
from aurora_nb.learn.predict import predict_frames
labels = predict_frames(untrained("small_resnet", 32, channels=(8, 8, 8, 8)), lazy_frames(int(sys.argv[1])))
assert labels.label.notna().all()
table = labels.memory_usage(deep=False).sum() / 1e6
print(json.dumps(dict(peak=peak_memory_mb(), frames=len(labels), table=table)))
"""


def untrained(name, size, **options):
    "A Classifier whose network has learned nothing; it takes as long as one that has."
    from aurora_nb.learn.backbones import build_network
    from aurora_nb.learn.preparation import Preparation
    from aurora_nb.learn.saved import Classifier
    return Classifier(build_network(name, len(NAMES), size=size, **options), NAMES, "oath", Preparation(size=size))


def lazy_frames(count):
    "Frames of 64 x 64 pixels that are made, 20 at a time, when they are asked for."
    import dask.array as da
    from aurora_nb.frames import build_frames

    def block(block_info=None):
        start = block_info[None]["array-location"][0][0]
        return np.random.default_rng(start).integers(300, 4000, (20, 64, 64)).astype("u2")

    image = da.map_blocks(block, chunks=((20,) * (count // 20), (64,), (64,)), dtype="u2", meta=np.empty((0, 0, 0), "u2"))
    return build_frames(image, np.datetime64("2014-12-20", "ns") + np.arange(count) * np.timedelta64(3, "s"), station="gill")


def in_turns(functions, times=3):
    "Shortest seconds of each of several functions, called one after the other so that all see the same machine."
    seconds = [[] for _ in functions]
    for function in functions: function()
    for _ in range(times):
        for held, function in zip(seconds, functions):
            start = time.perf_counter()
            function()
            held.append(time.perf_counter() - start)
    return [min(held) for held in seconds]


def bare(model, count, batch=64):
    "A function that shows the network `count` prepared pictures."
    import torch
    p = model.preparation
    pictures = torch.rand(batch, p.bands, p.size, p.size)
    parts = [pictures[:min(batch, count - start)] for start in range(0, count, batch)]

    def run():
        with torch.inference_mode():
            for part in parts: model.network.eval()(part)

    return run


def png_files(folder, streams, count):
    "16-bit grey PNG files of the first frames of streams."
    from PIL import Image
    from aurora_nb.readers.base import open_allsky
    frames = open_allsky(streams[:-(-count // 20)]).isel(time=slice(count))
    folder.mkdir()
    files = [folder / f"{str(moment)[:23].replace(':', '').replace('-', '')}.png" for moment in frames.time.values]
    for file, image in zip(files, frames.image.values): Image.fromarray(image).save(file, compress_level=3)
    return files


def with_fastai(model, files, size):
    "A function that judges the same files with fastai."
    import torch
    import fastai.callback.progress  # brings no_bar
    from fastai.data.block import CategoryBlock, DataBlock
    from fastai.learner import Learner
    from fastai.losses import CrossEntropyLossFlat
    from fastai.vision.augment import Resize
    from fastai.vision.core import PILImageBW
    from fastai.vision.data import ImageBlock
    data = DataBlock((ImageBlock(PILImageBW), CategoryBlock(list(NAMES))), get_items=lambda items: items,
                     get_y=lambda _: NAMES[0], item_tfms=Resize(size))
    learner = Learner(data.dataloaders(files, bs=64, device=torch.device("cpu")), model.network,
                      loss_func=CrossEntropyLossFlat())

    def run():
        with learner.no_bar(), learner.no_logging():
            found, _ = learner.get_preds(dl=learner.dls.test_dl(files))
        assert len(found) == len(files)

    return run


def rows() -> Iterator[Row]:
    "Ratios of one run."
    import torch
    from aurora_nb.learn.predict import predict_files
    from aurora_nb.learn.saved import faster
    warnings.filterwarnings("ignore")
    folder = Path(tempfile.mkdtemp(prefix="bench_predict_"))
    (folder / "hour").mkdir()
    try:
        streams = make_hour(folder / "hour")
        for name, size, files, target in (("resnet50", 224, 10, "within 1.1"), ("small_resnet", 128, 60, "")):
            model = untrained(name, size)
            ours, network, fused = in_turns([lambda: predict_files(model, streams[:files]), bare(model, 20 * files),
                                             bare(faster(model), 20 * files)])
            what = f"{20 * files} frames of {files} gz streams, {name} at {size} px: files to table"
            note = f"{1000 * network / files / 20:.1f} ms a frame, {torch.get_num_threads()} threads of torch"
            yield Row(what, ours, network, "the network alone", target, note=note)
            yield Row(what, ours, fused, "the network alone, fused", target)
        pictures = png_files(folder / "pictures", streams, 640)
        ours, theirs, network = in_turns([lambda: predict_files(model, pictures), with_fastai(model, pictures, size),
                                          bare(model, len(pictures))])
        what = f"{len(pictures)} PNG files of 16 bits, {name} at {size} px: files to table"
        yield Row(what, ours, theirs, "fastai get_preds", ">= 1.5")
        yield Row(what, ours, network, "the network alone")
        few, many = (in_python(MEMORY, count, Path(__file__).parent) for count in (1_000, 100_000))
        yield Row(f"peak memory of {many['frames']:,} frames, made when asked for", many["peak"], few["peak"],
                  f"of {few['frames']:,} frames", "within 1.1", "MB", f"the table itself holds {many['table']:.0f} MB")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for row in rows(): print(row, f"x{row.ratio:.2f}", row.met, file=sys.stderr)

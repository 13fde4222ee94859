"The simulated sky: the projection of a scene, and whole frames."
from collections.abc import Iterator

import numpy as np
from harness import Row, best_of

from aurora_nb.geometry.lens import lens_for_sky
from aurora_nb.simulate.fieldlines import trace
from aurora_nb.simulate.projection import build_projection

GREEN = (0, 1, 0, 0)


def projection_rows() -> Iterator[Row]:
    "The product of a frame beside its bare multiply-adds; building it beside tracing every sample."
    lens, when = lens_for_sky((256, 256), 126), "2015-01-20"
    projection = build_projection(lens, "gill", when)  # the table of field lines is made once per station
    for energy in (4.0, 0.5):
        matrix = projection.matrix(energy, GREEN)
        light = np.random.default_rng(0).uniform(0, 1e4, matrix.shape[1]).astype(np.float32)
        gathered = light[matrix.indices]
        floor, _ = best_of(lambda: matrix.data @ gathered, 20)
        ours, _ = best_of(lambda: projection.view([(energy, light)], GREEN), 20)
        yield Row(f"projection of a 256 x 256 frame, {energy} keV", ours, floor, "its multiply-adds (floor)",
                  note=f"{matrix.nnz / 1e6:.1f} million weights, {matrix.shape[1]} grid points")
    rng = np.random.default_rng(0)
    few = rng.uniform(54, 58, 500), rng.uniform(-98, -91, 500)
    one, _ = best_of(lambda: trace(*few, 250.0, 110.0, when), 1)
    samples = projection.visible.sum() * 32
    ours, _ = best_of(lambda: build_projection(lens, "gill", when).matrix(4.0, GREEN), 1)
    yield Row("building it for one colour and energy", ours, one / 500 * samples, "tracing each sample (floor)",
              note="500 samples, scaled to 32 heights a pixel")


def rows() -> Iterator[Row]:
    "All of them."
    yield from projection_rows()

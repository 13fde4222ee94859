"The simulated sky: the projection of a scene, and whole frames."
from collections.abc import Iterator

import numpy as np
from harness import Row, best_of

from aurora_nb.core import worker_count
from aurora_nb.geometry.lens import lens_for_sky
from aurora_nb.simulate.activity import programme
from aurora_nb.simulate.camera import camera_preset
from aurora_nb.simulate.fieldlines import trace
from aurora_nb.simulate.night import FORMS, find_forms, simulate_night
from aurora_nb.simulate.projection import build_projection
from aurora_nb.simulate.scene import build_scene, rounded_energy

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


def frames_per_night(duration="60min", **options):
    "Seconds per frame of a simulated night of one band, 256 x 256; what is kept for a scene is there already."
    simulate_night("gill", "2015-01-20T04:00", duration, **options)
    seconds, night = best_of(lambda: simulate_night("gill", "2015-01-20T04:00", duration, **options), 3)
    return seconds / night.sizes["time"]


def frame_rows() -> Iterator[Row]:
    "Whole frames with their truth beside the multiply-adds of their projection, and beside what was asked."
    projection, lines = build_scene("themis", "gill", "2015-01-20T04:00").projection, camera_preset("themis").lines[0]
    energies = {rounded_energy(form) for form in find_forms(FORMS, "gill", "2015-01-20T04:00")}
    light, floor = np.ones(projection.magnetic_latitude.shape[0], np.float32), 0.0
    for energy in energies:
        matrix = projection.matrix(energy, lines)
        gathered = light[matrix.indices]
        floor += best_of(lambda: matrix.data @ gathered, 20)[0]
    events = programme("gill", "2015-01-20T04:00", "1h", "active", seed=3)
    for what, options in (("clear", {}), ("broken clouds, town, lamps", {"weather": "broken+town+lamps"}),
                          (f"{len(events)} events of a programme", {"forms": events})):
        ours = frames_per_night(**options)
        name = f"a 256 x 256 frame with truth, {what}"
        yield Row(name, ours, 1 / 25, "25 frames a second", ">= 1", note=f"{worker_count()} threads")
        if not options: yield Row(name, ours, floor, "multiply-adds of its projection (floor)",
                                  note=f"{len(energies)} energies")


def rows() -> Iterator[Row]:
    "All of them."
    yield from projection_rows()
    yield from frame_rows()

"""Make aurora_nb/data/coastline.npz, the land outline that the maps of this package draw without a network.

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python data_samples/make_coastline.py package/land-50m.json

The input is Natural Earth 4.1.0, 1:50 million (public domain, naturalearthdata.com), as world-atlas 2.0.2 packs it in
TopoJSON: whole numbers, each a step from the one before, in lines that neighbouring polygons share. The output holds
hundredths of a degree (about 1 km) as 16-bit steps, in polygons that neither cross 180 degrees nor leave the pole open.
"""
import json
import sys
from pathlib import Path

import numpy as np
import shapely

STEP_DEG = 0.01


def rings_of(topology):
    "Each polygon's rings as arrays (point, longitude and latitude) in degrees."
    scale, origin = (np.array(topology["transform"][key]) for key in ("scale", "translate"))
    lines = [np.cumsum(line, axis=0) * scale + origin for line in topology["arcs"]]

    def ring(parts):  # a negative number means: line ~number, backwards; joined lines share one point
        pieces = [lines[part] if part >= 0 else lines[~part][::-1] for part in parts]
        return np.concatenate([pieces[0], *(piece[1:] for piece in pieces[1:])])

    for geometry in topology["objects"]["land"]["geometries"]:
        for polygon in geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]:
            yield [ring(parts) for parts in polygon]


def flat(ring):
    "The ring without jumps at 180 degrees; one that runs around the pole is led along 90 degrees south."
    ring = np.column_stack([np.unwrap(ring[:, 0], period=360), ring[:, 1]])
    start, end = ring[0, 0], ring[-1, 0]
    if abs(end - start) > 180: ring = np.concatenate([ring, [[end, -90], [start, -90]]])
    return ring


def land(topology):
    "All land as polygons within 180 degrees west to 180 degrees east."
    pieces = []
    for rings in rings_of(topology):
        outer, *holes = [flat(ring) for ring in rings if ring[:, 1].max() > -89]  # the pole itself is stored as a hole
        polygon = shapely.make_valid(shapely.Polygon(outer, holes))
        for turn in (-360, 0, 360):
            part = shapely.intersection(polygon, shapely.box(turn - 180, -90, turn + 180, 90))
            pieces += [shapely.transform(piece, lambda points, turn=turn: points - [turn, 0])
                       for piece in shapely.get_parts(part) if piece.geom_type == "Polygon"]
    whole = shapely.get_parts(shapely.set_precision(pieces, STEP_DEG))
    return whole[(shapely.get_type_id(whole) == 3) & ~shapely.is_empty(whole)]


def main():
    polygons = land(json.loads(Path(sys.argv[1]).read_text()))
    _, points, (ring_starts, polygon_starts) = shapely.to_ragged_array(polygons)
    steps = np.diff(np.round(points / STEP_DEG).astype(np.int16), axis=0, prepend=np.zeros((1, 2), np.int16))
    out = Path(__file__).resolve().parents[1] / "aurora_nb/data/coastline.npz"
    np.savez_compressed(out, steps=steps, ring_starts=ring_starts.astype(np.int32),
                        polygon_starts=polygon_starts.astype(np.int32))
    print(f"{out.name}: {len(polygons)} polygons, {len(points)} points, {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__": main()

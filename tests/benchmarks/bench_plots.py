"""Drawing: one real THEMIS frame from its file to a PNG, on a map and as a fisheye, against asilib; coast and dial alone.

Both sides read the minute file and the skymap, choose the frame, draw it with elevation rings on a figure of 640 x 480
pixels and save it. Seconds are of processor time, the shortest of three: drawing runs on one core.
"""
import io
import tempfile
import time

import matplotlib
from bench_reading import minute_file, source_frames
from harness import PEERS_PYTHON, SHARED_DATA, Row, in_python, peers_ready

matplotlib.use("Agg")
SKYMAP = SHARED_DATA / "themis_cdf/themis_skymap_gako_20110305-+_vXX.sav"
MOMENT = "2011-04-01T08:00:30"
ASILIB = """
import json, sys, time, pathlib, contextlib, io, warnings
warnings.filterwarnings("ignore")
home, file, skymap = map(pathlib.Path, sys.argv[1:4])
images, skymaps = (home / "asilib-data/themis" / kind / "gako" for kind in ("images", "skymaps"))
images.mkdir(parents=True); skymaps.mkdir(parents=True)
(images / file.name).symlink_to(file)
(skymaps / skymap.name).symlink_to(skymap)
import asilib, asilib.asi, asilib.map, matplotlib.pyplot as plt
def draw(kind):
    with contextlib.redirect_stdout(io.StringIO()):
        frame = asilib.asi.themis("GAKO", time=sys.argv[4], alt=110)
        if kind == "map": frame.plot_map(ax=asilib.map.create_simple_map(lon_bounds=(-160, -130), lat_bounds=(55, 70)))
        else: frame.plot_fisheye(ax=plt.subplots()[1], azel_contours=True)
    plt.gcf().savefig(io.BytesIO(), format="png"); plt.close("all")
found = {}
for kind in ("map", "fisheye"):
    seconds = []
    for _ in range(3):
        start = time.process_time(); draw(kind); seconds.append(time.process_time() - start)
    found[kind] = min(seconds)
print(json.dumps(found))
"""


def processor_seconds(function, times=3):
    "Shortest processor time of `times` calls."
    seconds = []
    for _ in range(times):
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
    return min(seconds)


def save(ax):
    import matplotlib.pyplot as plt

    ax.figure.savefig(io.BytesIO(), format="png")
    plt.close(ax.figure)


def drawn(kind, file):
    "Our whole way from the file to the PNG."
    import matplotlib.pyplot as plt

    from aurora_nb.frames import select_frames
    from aurora_nb.geometry.skymap import open_skymap
    from aurora_nb.plots.allsky import plot_fisheye
    from aurora_nb.plots.maps import map_axes, plot_magnetic_polar, plot_map
    from aurora_nb.readers.base import open_allsky

    frame, skymap = select_frames(open_allsky(file), time=MOMENT), open_skymap(SKYMAP, height_km=110)
    ax = plt.figure(figsize=(6.4, 4.8), dpi=100).gca()
    if kind == "map": save(plot_map(frame, skymap, map_axes(62.4, -145.2, 900, ax=ax)))
    elif kind == "dial": save(plot_magnetic_polar(frame, skymap, ax=ax))
    else: save(plot_fisheye(frame, skymap, ax, orient=kind))


def rows():
    "The table's rows; asilib's where its environment and the real skymap are there."
    if not SKYMAP.is_file(): return
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home:
        file = minute_file(folder, source_frames(), 0)
        seconds = {kind: processor_seconds(lambda: drawn(kind, file)) for kind in ("map", "pixels", "sky", "dial")}
        if peers_ready():
            places = dict(HOME=home, XDG_CACHE_HOME=home, XDG_CONFIG_HOME=home, MPLCONFIGDIR=home)
            asilib = in_python(ASILIB, home, file, SKYMAP, MOMENT, python=PEERS_PYTHON, **places)
            yield Row("a frame on a map, file to PNG", seconds["map"], asilib["map"], "asilib plot_map", ">= 5")
            yield Row("a fisheye as stored, file to PNG", seconds["pixels"], asilib["fisheye"], "asilib plot_fisheye", ">= 1")
            yield Row("a fisheye as the sky, file to PNG", seconds["sky"], asilib["fisheye"], "asilib plot_fisheye",
                      note="asilib draws it as stored only, here with its contours")
    yield Row("a frame on the magnetic dial, file to PNG", seconds["dial"], seconds["map"], "our map")
    yield from coast_rows()


def coast_rows():
    "The land of a regional map: clipped first, or left to cartopy."
    import cartopy.crs as ccrs
    import matplotlib.pyplot as plt

    from aurora_nb.plots.maps import add_coastline, land_polygons

    def region(add):
        ax = plt.figure().add_subplot(projection=ccrs.LambertAzimuthalEqualArea(-145.2, 62.4))
        ax.set(xlim=(-9e5, 9e5), ylim=(-9e5, 9e5))
        add(ax)
        save(ax)

    ours = processor_seconds(lambda: region(add_coastline))
    cartopy = processor_seconds(lambda: region(lambda ax: ax.add_geometries(land_polygons(), ccrs.PlateCarree())), 1)
    yield Row("land and coast of a regional map, saved", ours, cartopy, "cartopy, same polygons", ">= 2",
              note="cartopy's first call; it keeps projected polygons, and is as fast the second time")

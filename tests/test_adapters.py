"""Adapters on the peers' own classes, in the peers' Python (AURORA_NB_PEERS_PYTHON), and on real files.

The first test runs in the peers' environment with our packages put before theirs, so both must be of one Python version."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PEERS_PYTHON = Path(os.environ.get("AURORA_NB_PEERS_PYTHON", Path(__file__).parents[1] / ".venv-peers/bin/python"))

ON_PEERS = """
import datetime, glob, json, os, sys, tempfile
import numpy as np
sys.path.insert(0, sys.argv[2])
from aurora_nb.geometry.skymap import at_height, match_skymap, open_skymap, validate_skymap
from aurora_nb.readers.adapters import from_asilib, from_srs, skymap_from_asilib, skymap_from_srs
from aurora_nb.readers.base import open_allsky

data, found = sys.argv[1], {}
# no real REGO file is at hand: a REGO header made of a THEMIS one, and noise, so that any turn shows
raw = open(glob.glob(f"{data}/themis_pgm/*.pgm")[0], "rb").read()
head = raw[:raw.index(b"256 256\\n65535\\n")]
for old, new in ((b"themis19", b"rego-652"), (b'ID" THEMIS', b'ID" rego'), (b"plus initial readout", b"plus readout")):
    head = head.replace(old, new)
rego = os.path.join(tempfile.mkdtemp(), "20140310_0605_gill_rego-652_6300.pgm")
noise = np.random.default_rng(0).integers(0, 65536, (512, 512)).astype(">u2")
open(rego, "wb").write(head + b"512 512\\n65535\\n" + noise.tobytes())
import pyucalgarysrs
srs = pyucalgarysrs.PyUCalgarySRS()
for name, pattern, read in (("themis", f"{data}/themis_pgm/*.pgm*", srs.data.readers.read_themis),
                            ("nir", f"{data}/trex_pgm/*nir*", srs.data.readers.read_trex_nir),
                            ("blue", f"{data}/trex_pgm/*blue*", srs.data.readers.read_trex_blue),
                            ("rgb", f"{data}/trex_pgm/20211030*rgb*.png", srs.data.readers.read_trex_rgb),
                            ("rego", rego, srs.data.readers.read_rego)):
    files = sorted(glob.glob(pattern))
    theirs, ours = from_srs(read(files)), open_allsky(files)
    found["srs_" + name] = dict(
        pixels=bool((theirs.image.values == ours.image.values).all()), dtype=str(theirs.image.dtype) == str(ours.image.dtype),
        times=bool((theirs.time.values == ours.time.values).all()), frames=theirs.sizes["time"],
        attrs=[theirs.attrs.get(key) == ours.attrs.get(key) for key in ("station", "array", "camera", "wavelength_nm")])

sav = glob.glob(f"{data}/themis_cdf/*.sav")[0]
ours = open_skymap(sav)


def compare(theirs):
    validate_skymap(theirs)
    high = (ours.elevation > 10).values
    apart = [np.nanmax(np.abs((theirs[name].sel(height_km=110.0) - ours[name].sel(height_km=110.0)).values[high]))
             for name in ("latitude", "longitude")]
    return dict(azimuth=float(np.nanmax(np.abs(theirs.azimuth - ours.azimuth))), station=theirs.station,
                elevation=float(np.nanmax(np.abs(theirs.elevation - ours.elevation))), apart=[float(a) for a in apart],
                since=theirs.valid_from[:10] == ours.valid_from[:10])


found["srs_skymap"] = compare(skymap_from_srs(srs.data.readers.read_skymap([sav])))

import asilib, asilib.asi
from asilib.asi.fake_asi import fake_asi
asilib_themis = sys.modules["asilib.asi.themis"]  # asilib.asi.themis itself is the function
files = sorted(glob.glob(f"{data}/themis_pgm/*.pgm*"))
grids = asilib_themis._load_skymap(sav)
times = ["2014-03-10T06:00", "2014-03-10T06:06"]
info = dict(path=files, loader=asilib_themis._load_pgm, time_range=[datetime.datetime.fromisoformat(t) for t in times],
            start_time=[datetime.datetime(2014, 3, 10, 6, m) for m in range(6)],
            end_time=[datetime.datetime(2014, 3, 10, 6, m + 1) for m in range(6)])
meta = dict(array="THEMIS", location="GILL", lat=56.354, lon=-94.656, alt=0.0, cadence=3, resolution=(256, 256))
skymap = dict(lat=grids["FULL_MAP_LATITUDE"][1], lon=grids["FULL_MAP_LONGITUDE"][1], alt=110, az=grids["FULL_AZIMUTH"],
              el=grids["FULL_ELEVATION"], path=sav)
imager = asilib.Imager(info, meta, skymap)
theirs, ours_frames = from_asilib(imager), open_allsky(files)
found["asilib"] = dict(pixels=bool((theirs.image.values == ours_frames.image.values).all()), dtype=str(theirs.image.dtype),
                       times=bool((theirs.time.values == ours_frames.time.values).all()), frames=theirs.sizes["time"])
for array, path, loader in (("REGO", rego, sys.modules["asilib.asi.rego"]._load_rego_pgm),
                            ("TREX_NIR", sorted(glob.glob(f"{data}/trex_pgm/*nir*"))[0],
                             sys.modules["asilib.asi.trex"]._load_nir_pgm)):
    range_ = [datetime.datetime(2000, 1, 1), datetime.datetime(2030, 1, 1)]
    imager = asilib.Imager(dict(path=[path], loader=loader, time_range=range_), dict(array=array, location="GILL"), {})
    theirs, ours_frames = from_asilib(imager), open_allsky(path)
    found["asilib_" + array.lower()] = dict(
        pixels=bool((theirs.image.values == ours_frames.image.values).all()), dtype=str(theirs.image.dtype),
        attrs=[theirs.attrs.get(key) == ours_frames.attrs.get(key) for key in ("station", "array", "wavelength_nm")])
skymap = skymap_from_asilib(asilib.Imager(info, meta | dict(location="GAKO", lat=62.41, lon=-145.16), skymap))
found["asilib_skymap"] = compare(skymap)
fake = fake_asi("GILL", time_range=("2015-01-01T15:00", "2015-01-01T15:01"))
frames, skymap = from_asilib(fake), validate_skymap(skymap_from_asilib(fake))
found["fake"] = dict(shape=frames.image.shape, north_on_top=bool(skymap.latitude[0, 150, 256] > skymap.latitude[0, 350, 256]),
                     same_rows=bool(match_skymap(frames, skymap) is skymap),
                     last=bool((frames.image[0].values == fake.data.image[0][::-1]).all()))
single = from_asilib(fake_asi("GILL", time="2015-01-01T15:00:10"))
found["single"] = [single.sizes["time"], str(single.time.values[0])[:19]]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def on_peers(shared_data, tmp_path_factory):
    "What the peers' classes became, computed in their Python."
    if not PEERS_PYTHON.is_file():
        pytest.skip(f"no asilib and pyucalgarysrs: {PEERS_PYTHON} does not exist; `make bench` makes it, "
                    "or set AURORA_NB_PEERS_PYTHON")
    version = subprocess.run([PEERS_PYTHON, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True,
                             text=True)
    if version.stdout.strip() != str(sys.version_info[:2]):
        pytest.skip(f"the peers' Python is {version.stdout.strip()}, this one {sys.version_info[:2]}")
    project = Path(__file__).parents[1]
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    home = tmp_path_factory.mktemp("home")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([PEERS_PYTHON, "-c", ON_PEERS, shared_data, project], capture_output=True, text=True, timeout=300,
                          env=environment | {"PYTHONPATH": ours, "HOME": str(home), "MPLBACKEND": "Agg",
                                             "PYTHONDONTWRITEBYTECODE": "1"})
    assert not done.returncode, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("camera", ["themis", "nir", "blue", "rgb", "rego"])
def test_srs_data_equals_our_reader(on_peers, camera):
    found = on_peers["srs_" + camera]
    assert found["pixels"] and found["dtype"] and found["times"] and all(found["attrs"]), found


def test_asilib_imager_equals_our_reader(on_peers):
    assert on_peers["asilib"] == {"pixels": True, "dtype": "uint16", "times": True, "frames": 120}


@pytest.mark.parametrize("array", ["rego", "trex_nir"])
def test_asilib_turns_are_undone(on_peers, array):
    found = on_peers[f"asilib_{array}"]
    assert found["pixels"] and found["dtype"] == "uint16" and all(found["attrs"]), found


@pytest.mark.parametrize("library", ["srs", "asilib"])
def test_skymaps_equal_ours(on_peers, library):
    found = on_peers[f"{library}_skymap"]
    assert found["azimuth"] < 1e-4 and found["elevation"] < 1e-4 and found["since"] and found["station"] == "gako", found
    assert max(found["apart"]) < 0.05, found  # mean of corners against the pixel's own direction, above 10 degrees


def test_fake_and_single_imagers(on_peers):
    assert on_peers["fake"] == {"shape": [7, 512, 512], "north_on_top": True, "same_rows": True, "last": True}
    assert on_peers["single"] == [1, "2015-01-01T15:00:10"]

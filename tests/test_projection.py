"Light along field lines against integrals that share no code with the projection."
import numpy as np
import pandas as pd
import pytest

from aurora_nb.core import AuroraError
from aurora_nb.geometry.geomagnetic import magnetic_coordinates, station_magnetic, with_magnetic
from aurora_nb.geometry.lens import angular_distance, from_vector, lens_for_sky, to_vector
from aurora_nb.geometry.skymap import aer_to_geodetic, skymap_from_lens
from aurora_nb.simulate.emission import StationaryArc
from aurora_nb.simulate.fieldlines import magnetic_zenith, normals, to_local
from aurora_nb.simulate.heights import height_profile, line_ratios
from aurora_nb.simulate.projection import build_projection, to_numpy
from aurora_nb.stations import find_station

WHEN = {"gill": "2015-01-20", "yrs": "2015-01-20", "jbs": "2015-06-20"}
GREEN, RED = (0, 1, 0, 0), (0, 0, 1, 0)
SKY, SMALL = lens_for_sky((256, 256), 126), lens_for_sky((64, 64), 31.5)


@pytest.fixture(scope="module")
def projections():
    "Each station's projection, made once."
    return {code: build_projection(SKY, code, when) for code, when in WHEN.items()}


def earth_fixed(place):
    "Kilometres, by astropy."
    from astropy import units
    from astropy.coordinates import EarthLocation

    found = EarthLocation.from_geodetic(place.longitude * units.deg, place.latitude * units.deg, place.height_m * units.m)
    return np.array([part.to_value("km") for part in found.geocentric])


def geodetic(points):
    "Latitude, longitude, height in km of Earth-fixed kilometres (..., 3), by astropy."
    from astropy import units
    from astropy.coordinates import EarthLocation

    found = EarthLocation.from_geocentric(*np.moveaxis(points, -1, 0), unit=units.km).geodetic
    return found.lat.to_value("deg"), found.lon.to_value("deg"), found.height.to_value("km")


def field(points, moment):
    "Unit vectors along the field, downward or upward as it is, from geocentric components."
    import ppigrf

    radius = np.linalg.norm(points, axis=-1)
    colatitude, longitude = np.arccos(points[..., 2] / radius), np.arctan2(points[..., 1], points[..., 0])
    parts = ppigrf.igrf_gc(radius, np.degrees(colatitude), np.degrees(longitude), moment)
    (st, ct), (sl, cl) = ((np.sin(a), np.cos(a)) for a in (colatitude, longitude))
    axes = np.stack([np.stack([st * cl, st * sl, ct], -1), np.stack([ct * cl, ct * sl, -st], -1),
                     np.stack([-sl, cl, np.zeros_like(sl)], -1)])
    vector = sum(part[0][..., None] * axis for part, axis in zip(parts, axes))
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def foot(points, moment, steps=6):
    "Where the field lines through points cross 110 km: steps of a length along the line (midpoint rule), then a last one."
    for step in range(steps + 2):
        latitude, longitude, height = geodetic(points)
        up = normals(latitude, longitude)
        along = field(points, moment)
        share = (110 - height) / max(steps - step, 1)
        length = share / np.einsum("...i,...i->...", along, up)
        middle = points + along * (length / 2)[..., None]
        along = field(middle, moment)
        points = points + along * (share / np.einsum("...i,...i->...", along, up))[..., None]
    return geodetic(points)[:2]


def dense_integral(azimuth, elevation, station, when, brightness, line, energy):
    "Rayleigh along one line of sight, summed every two kilometres."
    place = find_station(station)
    latitude, longitude = np.radians([place.latitude, place.longitude])
    up = normals(place.latitude, place.longitude)
    east = np.array([-np.sin(longitude), np.cos(longitude), 0])
    sight = to_vector(azimuth, elevation) @ np.stack([east, np.cross(up, east), up])
    length = 2.0
    points = earth_fixed(place) + np.arange(70, 3000, length)[:, None] * sight
    height = geodetic(points)[2]
    points, height = points[(height > 80) & (height < 600)], height[(height > 80) & (height < 600)]
    moment = pd.Timestamp(when).to_pydatetime()
    upward = np.abs(np.einsum("ni,ni->n", field(points, moment), normals(*geodetic(points)[:2])))
    light = brightness(*foot(points, moment)) * height_profile(line, energy, height) * upward  # per km of height to per km
    return float(light.sum() * length * line_ratios(energy)[("427.8", "557.7", "630.0", "prompt").index(line)])


DIRECTIONS = [(0, 88), (180, 70), (0, 45), (180, 30), (90, 30), (250, 50), (0, 20), (45, 12)]


@pytest.mark.parametrize("station,line,energy,width_deg",
                         [("gill", "557.7", 4.0, 1.0), ("jbs", "630.0", 0.3, 3.0), ("yrs", "557.7", 1.0, 1.5)])
def test_arc_is_as_bright_as_its_integral(station, line, energy, width_deg, projections):
    when, projection = WHEN[station], projections[station]
    middle, _ = station_magnetic(station, 110, when)
    arc = StationaryArc(abs(middle) + 0.5, width_deg=width_deg)
    response = tuple(float(line == other) for other in ("427.8", "557.7", "630.0", "prompt"))
    footprint = arc.brightness(projection.magnetic_latitude, projection.magnetic_longitude, 0.0, when)
    seen = projection.view([(energy, np.asarray(footprint, np.float32))], response)

    def brightness(latitude, longitude):
        return arc.brightness(magnetic_coordinates(latitude, longitude, 110, when)[0], 0.0, 0.0, when)

    table = []
    for azimuth, elevation in DIRECTIONS:
        x, y = (int(np.rint(at)) for at in SKY.sky_to_pixel(azimuth, elevation))
        direction = [float(angle) for angle in SKY.pixel_to_sky(x, y)]
        expected = dense_integral(*direction, station, when, brightness, line, energy)
        table.append((azimuth, elevation, expected, float(seen[y, x]), float(seen[y, x]) / expected - 1))
    print(pd.DataFrame(table, columns=["azimuth", "elevation", "integral", "projection", "difference"]).round(4).to_string())
    bright = [row for row in table if row[2] > 0.02 * max(other[2] for other in table)]
    assert len(bright) >= 4
    assert max(abs(row[4]) for row in bright) < 0.05


@pytest.mark.parametrize("station", list(WHEN))
def test_rays_meet_at_the_magnetic_zenith(station, projections):
    projection, zenith = projections[station], magnetic_zenith(station, WHEN[station])
    assert projection.zenith_angle[projection.visible].min() < 0.5
    grid = to_local(normals(projection.latitude, projection.longitude), station)
    middle = to_local(normals(*map(np.array, aer_to_geodetic(*zenith, station, 110))), station)
    y, x = np.indices(SKY.shape)
    sight, circles = np.nan_to_num(to_vector(*SKY.pixel_to_sky(x, y))), []
    for turn in np.arange(10) * 2 * np.pi / 10:
        for away in (35.0, 60.0):
            east, north = grid - (middle + away * np.array([np.sin(turn), np.cos(turn)]))[:, None]
            picture = projection.view([(0.5, np.exp(-(east ** 2 + north ** 2) / 8.0))], GREEN)
            circles.append(np.linalg.eigh(np.einsum("yx,yxi,yxj->ij", picture, sight, sight))[1][:, 0])
    meet = np.linalg.eigh(np.array(circles).T @ np.array(circles))[1][:, 0]
    assert angular_distance(*from_vector(meet * np.sign(meet[2])), *zenith) < 0.5


@pytest.mark.parametrize("station", ["gill", "jbs"])
def test_thin_shell_is_the_skymap_and_van_rhijn(station):
    lens = lens_for_sky((90, 100), 44, rotation_deg=30, mirrored=True, tilt_deg=4, tilt_azimuth_deg=200)
    shell = build_projection(lens, station, "2015-07-01", shell_km=120)
    skymap = with_magnetic(skymap_from_lens(lens, station, 120), 120, "2015-07-01")
    arc = StationaryArc(abs(station_magnetic(station, 120, "2015-07-01")[0]), 1.0)
    expected = arc.brightness(skymap.magnetic_latitude.values[0], 0, 0, "2015-07-01") / np.sqrt(
        1 - (np.cos(np.radians(skymap.elevation.values)) * 6371.2 / 6491.2) ** 2)
    seen = shell.view([(4.0, arc.brightness(shell.magnetic_latitude, 0, 0, "2015-07-01"))], GREEN)
    np.testing.assert_allclose(seen, np.nan_to_num(expected), atol=5)


def test_any_lens_sees_the_same_sky(projections):
    "A tilted, a mirrored and a narrow lens have the same light in the same directions."
    reference, when = projections["gill"], WHEN["gill"]
    zenith = magnetic_zenith("gill", when)
    arc = StationaryArc(66.6, 0.8)

    def picture(projection):
        return projection.view([(4.0, arc.brightness(projection.magnetic_latitude, 0, 0, when).astype(np.float32))], GREEN)

    expected = picture(reference)
    lenses = [lens_for_sky((300, 260), 125, tilt_deg=5, tilt_azimuth_deg=70, mirrored=True, rotation_deg=117),
              lens_for_sky((120, 120), 310, tilt_deg=90 - zenith[1], tilt_azimuth_deg=zenith[0]),
              lens_for_sky((60, 80), 200, tilt_deg=80, tilt_azimuth_deg=10)]
    for lens in lenses:
        other = build_projection(lens, "gill", when)
        y, x = np.nonzero(other.visible)
        azimuth, elevation = lens.pixel_to_sky(x, y)
        column, row = (np.rint(at).astype(int) for at in SKY.sky_to_pixel(azimuth, elevation))
        near = angular_distance(azimuth, elevation, *SKY.pixel_to_sky(column, row)) < 0.1
        near &= (elevation > 12) & np.isfinite(elevation)
        assert near.sum() > 30
        miss = picture(other)[y, x][near] - expected[row[near], column[near]]
        assert np.abs(miss).max() < 0.08 * expected.max() and np.abs(miss).mean() < 0.01 * expected.max()


def test_a_small_lens_and_errors():
    small = build_projection(SMALL, "krn", "2015-01-20")
    assert small.lens.shape == (64, 64) and small.view([], GREEN).shape == (64, 64)
    with pytest.raises(AuroraError, match="tilt"):
        build_projection(lens_for_sky((64, 64), 300, tilt_deg=150), "gill", "2015-01-20")
    with pytest.raises(AuroraError, match="IGRF"):
        build_projection(SMALL, "gill", "2035-01-20")


def test_a_large_lens_stays_within_its_memory():
    large = build_projection(lens_for_sky((480, 480), 232), "gill", "2015-01-20")
    matrix = large.matrix(1.0, (0.5, 1.0, 0.5, 0.6))
    assert (matrix.data.nbytes + matrix.indices.nbytes) / 1e6 < 250
    assert len(large.magnetic_latitude) < 250_000


def test_torch_sees_the_same():
    torch = pytest.importorskip("torch", reason="torch is not installed; the array code is shared, only the product differs")
    plain = build_projection(SMALL, "gill", "2015-01-20")
    moved = plain.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    arc = StationaryArc(66.5, 1.0)
    here = plain.view([(4.0, arc.brightness(plain.magnetic_latitude, 0, 0, "2015-01-20"))], GREEN)
    there = moved.view([(4.0, torch.as_tensor(arc.brightness(to_numpy(moved.magnetic_latitude), 0, 0, "2015-01-20")).to(
        moved.magnetic_latitude))], GREEN)
    np.testing.assert_allclose(to_numpy(there), here, rtol=1e-4, atol=1e-2)

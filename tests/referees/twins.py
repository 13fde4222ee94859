"For each real set the simulated nights that should look like it: station, moment, weather, forms as on the real sky."
from dataclasses import dataclass, replace

from aurora_nb.geometry.geomagnetic import station_magnetic
from aurora_nb.geometry.lens import lens_for_sky
from aurora_nb.simulate.activity import FORMS
from aurora_nb.simulate.camera import CAMERAS
from aurora_nb.simulate.clouds import CloudLayer
from aurora_nb.simulate.weather import Light, Snow, Town, Weather, find_weather


@dataclass(frozen=True)
class Seen:
    "A form as it stands over the station."
    name: str              # In FORMS
    north: float = 0.0     # Degrees of magnetic latitude poleward of the station
    east: float = 0.0      # Degrees of magnetic longitude east of it
    more: tuple = ()       # Other parameters, as pairs

    def at(self, station, time, seed):
        latitude, longitude = map(float, station_magnetic(station, 110.0, time))
        known = FORMS[self.name].__dataclass_fields__
        place = dict(magnetic_latitude=abs(latitude) + self.north, magnetic_longitude=longitude + self.east, seed=seed)
        return FORMS[self.name](**{key: value for key, value in place.items() if key in known} | dict(self.more))


def seen(name, north=0.0, east=0.0, kr=None, **more):
    "A form; `kr` is its brightness in kilorayleigh."
    if kr: more["brightness_rayleigh"] = 1000.0 * kr
    return Seen(name, north, east, tuple(more.items()))


@dataclass(frozen=True)
class Night:
    "A stretch of a simulated night."
    station: str
    start: str
    count: int                # Frames
    cadence: str              # Between them
    camera: object            # Name of a preset, or a Camera
    forms: tuple = ()         # `Seen`
    weather: object = "clear"  # Name, or a Weather


# Cameras that the package has no preset for: disc and levels from the dark corners and the noise of their frames

_THEMIS, _EMCCD, _COLOUR = CAMERAS["themis"], CAMERAS["dasc_630"], CAMERAS["colour"]


def _themis(bias, sensitivity=1.0):
    "Each head has its own bias, and the light of the stars differs by two from head to head."
    return replace(_THEMIS, sensor=replace(_THEMIS.sensor, bias=bias), throughput=sensitivity)


_REGO = replace(_EMCCD, name="rego", lens=lens_for_sky((512, 512), 234, centre=(247, 262)), exposure_s=2.0,
                counts_per_rayleigh=9.0, vignetting=3, rim_deg=5, sensor=replace(
                    _EMCCD.sensor, dtype="uint16", bias=300, bias_slope=(15, 15), electrons_per_count=1.0))
_NIR = replace(_EMCCD, name="trex_nir", lens=lens_for_sky((256, 256), 98.5, centre=(114, 125)), exposure_s=5.0,
               wavelength_nm=844.6, lines=((0.0, 0.0, 0.0, 1.0),), continuum=((0.0, 0.0, 0.06),),
               counts_per_rayleigh=0.15, rim_deg=2, psf_pixels=0.4,
               sensor=replace(_EMCCD.sensor, dtype="uint16", bias=318, read_noise=3, electrons_per_count=0.7,
                              pixel_pattern=4, gain_pattern=0.03))
_BLUE = replace(_EMCCD, name="trex_blue", lens=lens_for_sky((270, 320), 132, centre=(160, 138)), exposure_s=3.0,
                wavelength_nm=427.8, lines=((1.0, 0.0, 0.0, 0.0),), continuum=((0.01, 0.0, 0.0),),
                counts_per_rayleigh=2.4, vignetting=4.5, sensor=replace(
                    _EMCCD.sensor, dtype="uint16", bias=560, read_noise=20, line_pattern=22, electrons_per_count=0.8,
                    pixel_pattern=20, gain_pattern=0.02))
_RAINBOW = replace(_THEMIS, name="rainbow", lens=lens_for_sky((256, 256), 126, centre=(127, 126)), exposure_s=5.0,
                   counts_per_rayleigh=0.035, psf_pixels=0.8, sensor=replace(
                       _THEMIS.sensor, bias=1680, read_noise=8, electrons_per_count=1.4))
_RGB = replace(_COLOUR, name="trex_rgb", lens=lens_for_sky((480, 553), 258, centre=(250, 228)), exposure_s=0.32,
               counts_per_rayleigh=0.0018, jpeg=None, vignetting=2, rim_deg=10,
               continuum=((0.06, 0.1, 0.34), (0.06, 0.3, 0.09), (0.3, 0.1, 0.03)), sensor=replace(
                   _COLOUR.sensor, gamma=1.0, bias=5, black=(0, 0, 0), read_noise=0.4, electrons_per_count=8))


# Skies

_FROST = replace(find_weather("frost"), haze=0.5, lights=(
    Light(265, 5e5, 0.0, 30, 8), Light(80, 1.2e5, 0.0, 40, 8), Light(0, 4.5e4, 90.0, 500, 300)))
_SNOWED = Weather(snow=Snow(0.999, 0.05, 0.8, 1.6, 0.7), haze=1.0)
_TOWN = Town(325, 5.0, 2.0, 1.2e5)
_GLOW = Light(325, 1.5e5, 1.0, 22, 5, (0.15, 0.75, 1.7)), Light(325, 1.5e4, 0.0, 120, 40, (0.15, 0.75, 1.7))
_CLEAR = Weather(lights=_GLOW)
_CLOUDED = Weather((CloudLayer(1.0, 2.5, 2.5, 8.0, 1.0, swing=0.0),), lights=_GLOW, towns=(_TOWN,))
_DENSE = Weather((CloudLayer(1.0, 20.0, 1.5, 10.0, 0.5, swing=0.0),), lights=_GLOW, towns=(_TOWN,))
_BANKS = Weather((CloudLayer(0.75, 8.0, 1.8, 6.0, swing=0.0),), lights=_GLOW, towns=(_TOWN,))
_MOONHAZE = Weather(haze=3.5)


def _kho(start, weather=_CLEAR, *forms):
    return Night("kho", f"2014-02-{start}", 1, "1min", "longyearbyen", forms, weather)


_OATH = _themis(2500, 0.6)
_OATH_SKY = seen("diffuse_band", -2.5, kr=10, width_deg=6.0, edge_km=120.0)
_SOUTH = seen("quiet_arc", -2.4, kr=25, rays=0.8), seen("red_rays", -2.8, kr=6), \
    seen("diffuse_band", -2.5, kr=8)
TWINS = {  # the same station, hour, cadence and number of frames where they are known
    "themis_dark": (Night("gill", "2016-10-29T04:00", 12, "3s", _themis(3480), (
        seen("diffuse_band", 0, kr=6, width_deg=9.0),), _FROST),),
    "themis_moon": (Night("gill", "2014-03-10T06:00", 12, "30s", _themis(3490, 2.5), (), _MOONHAZE),),
    "themis_twilight": (Night("gako", "2011-01-06T17:00", 12, "3s", _themis(2295, 1.3)),),
    "themis_oath": (Night("gill", "2007-01-19T05:00", 2, "1min", _OATH, (
                        seen("folded_band", -1.0, kr=35), seen("quiet_arc", 0.5, kr=18, width_km=30.0), _OATH_SKY)),
                    Night("fsim", "2007-01-19T07:00", 2, "1min", _OATH, (seen("quiet_arc", 0.3, kr=30), _OATH_SKY)),
                    Night("atha", "2007-01-20T06:00", 5, "1min", _OATH, (
                        seen("multiple_arcs", 0.2, count=2, kr=20), _OATH_SKY)),
                    Night("rank", "2007-01-18T04:00", 1, "1min", _OATH, (
                        seen("quiet_arc", -1.0, kr=40, width_km=25.0), _OATH_SKY))),
    "themis_storm": (Night("fsmi", "2015-03-26T06:07:15", 19, "72s", "themis", (
        seen("breakup", -1.0, kr=40, begin="2015-03-26T06:02:00", end="2015-03-26T06:40:00", expansion_km=500.0),
        seen("diffuse_band", 0, kr=8, width_deg=9.0, striation=0.8))),),
    "dasc": (Night("pkr", "2015-10-07T08:23:51", 2, "12s", "dasc", _DASC_FORMS := (
                 seen("multiple_arcs", 1.5, count=4, kr=9, spacing_km=60.0),
                 seen("diffuse_band", 0.5, kr=3.5, width_deg=9.0))),
             Night("pkr", "2015-10-07T08:23:55", 1, "12s", "dasc_428", _DASC_FORMS),
             Night("pkr", "2015-10-07T08:23:59", 1, "12s", "dasc_630", _DASC_FORMS)),
    "rego": (Night("gill", "2016-10-29T04:00", 1, "3s", _REGO, (), _SNOWED),),
    "trex_nir": (Night("gill", "2022-03-07T06:00", 10, "12s", _NIR, (
        seen("diffuse_band", 3.0, kr=0.5, width_deg=14.0, striation=0.6), seen("faint", 1.0))),),
    "trex_blue": (Night("gill", "2022-03-08T06:00", 12, "3s", _BLUE, (
        seen("diffuse_band", 0, kr=2, width_deg=9.0),), Weather(haze=0.5)),),
    "rainbow": (Night("rabb", "2013-02-05T05:04", 10, "6s", _RAINBOW, (
        seen("diffuse_band", 6.0, kr=40, edge_km=150.0), seen("diffuse_band", 0, width_deg=12.0, kr=6))),),
    "kho_jpeg": (
        _kho("03T23:29:42", Weather(lights=_GLOW[1:])), _kho("18T17:13:40", _DENSE), _kho("18T22:41:10", _DENSE),
        _kho("18T23:54:40", _BANKS), _kho("21T19:20:40", _CLEAR, *_SOUTH), _kho("21T19:26:10", _CLEAR, *_SOUTH),
        _kho("21T19:30:40", _CLEAR, *_SOUTH), _kho("21T23:19:40", _CLOUDED, seen("folded_band", -2.2, -6, kr=25)),
        _kho("23T03:00:10", _CLEAR, seen("folded_band", -1.0, 9, kr=25)),
        _kho("23T03:06:40", _CLEAR, seen("multiple_arcs", 0, kr=12)),
        _kho("24T02:00:10", _CLEAR, seen("quiet_arc", 0, energy_kev=1.0, kr=12)),
        *(_kho(f"25T22:{at}", _CLOUDED, seen("folded_band", -2.5, 9, kr=25)) for at in ("10:10", "14:40", "18:40")),
        _kho("25T23:34:10", _DENSE)),
    "kho_movie": (Night("kho", "2013-12-04T18:50:14", 20, "180s", "longyearbyen_movie", (
        seen("folded_band", -0.7, kr=40), seen("multiple_arcs", -2.0, kr=25))),),
    "trex_rgb": (Night("gill", "2020-05-08T06:05", 1, "1min", _RGB, (), _MOONHAZE),
                 Night("gill", "2021-10-30T06:05", 1, "1min", _RGB, (
                     seen("quiet_arc", 2.0, kr=40), seen("diffuse_band", 0.0, kr=3, width_deg=9.0)))),
}
SERIES_CADENCE = {"themis_moon": "3s", "trex_nir": "6s", "themis_storm": "3s", "dasc": "12s", "kho_movie": "1s",
                  "trex_blue": "3s"}

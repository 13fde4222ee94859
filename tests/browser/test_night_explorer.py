"NightExplorer in JupyterLab, driven by keyboard and mouse; what the page shows is compared with what is known of the night."
import json

import pytest

NIGHT = """
import dask.array as da
import numpy as np
from aurora_nb.explorers import NightExplorer
from aurora_nb.frames import build_frames
from aurora_nb.geometry.lens import lens_for_sky
from aurora_nb.geometry.skymap import skymap_from_lens

# 40 minutes over Gillam: an arc moves equatorward, on it a bright spot moves from east to west
skymap = skymap_from_lens(lens_for_sky((128, 128), rotation_deg=20.0), "gill")
times = np.datetime64("2014-03-10T06:00", "ns") + np.arange(40) * np.timedelta64(1, "m")
latitude, longitude = skymap.latitude.values[0], skymap.longitude.values[0]

def sky_at(minute):
    off = (latitude - np.linspace(58, 55, 40)[minute]) / 0.25
    spot = np.exp(-0.5 * (((longitude - np.linspace(-91, -98, 40)[minute]) / 0.3) ** 2 + off**2))
    return np.nan_to_num(900 + 1500 * np.exp(-0.5 * off**2) + 6000 * spot, nan=400).astype("u2")

frames = build_frames(np.stack([sky_at(minute) for minute in range(40)]), times, station="gill", array="themis",
                      problem_files={"0610.pgm.gz": "found 0 bytes"})
"""
OTHERS = """
def read(block_info=None):
    first = block_info[None]["array-location"][0][0]
    if first == 10: raise OSError("0610.pgm.gz is <cut>")
    return frames.image.values[first:first + 10]

lazy = da.map_blocks(read, chunks=((10,) * 4, (128,), (128,)), dtype="u2", meta=np.empty((0, 0, 0), "u2"))
colour = np.stack([frames.image.values // 32, frames.image.values // 64, 0 * frames.image.values], -1).astype("u1")
explorers = dict(failing=NightExplorer(build_frames(lazy, times, station="gill"), skymap),
                 colour=NightExplorer(build_frames(colour[:2], times[:2])),
                 single=NightExplorer(frames.isel(time=[7]), skymap, orient="pixels"))
for name, one in explorers.items(): display(one.add_class(f"t-{name}"))
"""
BRIGHTEST = """canvas => {  // mean place of the pixels that are at least 97 % as bright as the brightest, as fractions
  const {width, height} = canvas, data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const light = i => data[4 * i + 3] ? data[4 * i] + data[4 * i + 1] + data[4 * i + 2] : 0;
  let most = 0, x = 0, y = 0, n = 0;
  for (let i = 0; i < width * height; i++) most = Math.max(most, light(i));
  for (let i = 0; i < width * height; i++) if (light(i) >= 0.97 * most) { x += i % width; y += Math.floor(i / width); n++ }
  return [(x / n + 0.5) / width, (y / n + 0.5) / height];
}"""
LIGHT = """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.reduce((a, b) => a + b) /
  canvas.width / canvas.height"""
WATCH_LATENCY = """selector => {  // from a key's time stamp to the frame after the one in which the picture changed
  const canvas = document.querySelector(selector), middle = Math.floor(canvas.width / 2);
  const seen = () => canvas.getContext("2d").getImageData(middle, 0, 1, canvas.height).data.join();
  window.latencies = [];
  canvas.addEventListener("keydown", event => {
    const before = seen(), look = () => seen() === before ? requestAnimationFrame(look)
      : setTimeout(() => window.latencies.push(performance.now() - event.timeStamp));
    requestAnimationFrame(look);
  }, {capture: true});
}"""


@pytest.fixture(scope="module")
def night(lab):
    page = lab.open(NIGHT + "explorer = NightExplorer(frames, skymap, orient='sky')\nexplorer").run_all()
    yield page
    page.close()


@pytest.fixture(autouse=True)
def start_and_end(request):
    "Each test of `night` starts at the first frame and ends without a complaint of page or kernel."
    if "night" not in request.fixturenames: return (yield)
    night = request.getfixturevalue("night")
    night.page.locator(".aurora-canvas[aria-label=fisheye]").press("Home")
    says(night, "06:00:00 UTC")
    yield
    assert not night.complaints()


def says(notebook, text, where=".aurora-text"):
    from playwright.sync_api import expect
    expect(notebook.page.locator(where)).to_contain_text(text)


def canvas(notebook, label, inside=""):
    return notebook.page.locator(f"{inside} .aurora-canvas[aria-label={label}]")


def test_line_of_text(night):
    from playwright.sync_api import expect
    line = night.page.locator(".aurora-text")
    expect(line).to_contain_text("2014-03-10 06:00:00 UTC")
    for part in ("MLT", "Sun -", "Moon", "usable not judged", "1 problem file"): expect(line).to_contain_text(part)


def test_slider_by_keyboard(night):
    handle = night.page.locator(".aurora-explorer .noUi-handle").first
    handle.press("ArrowRight")
    says(night, "06:01:00 UTC")
    handle.press("End")
    says(night, "06:39:00 UTC")
    handle.press("b")  # JupyterLab's key for a new cell
    assert night.kernel("explorer.state.index") == 39 and night.page.locator(".jp-Notebook .jp-Cell").count() == 1


def test_slider_by_mouse(night):
    track = night.page.locator(".aurora-explorer .noUi-base").first.bounding_box()
    night.page.locator(".aurora-explorer .noUi-handle").first.hover()
    night.page.mouse.down()
    night.page.mouse.move(track["x"] + track["width"] * 20 / 39, track["y"] + 2, steps=8)
    night.page.mouse.up()
    says(night, "06:20:00 UTC")
    assert night.kernel("explorer.state.index") == 20


@pytest.mark.parametrize("panel", ["fisheye", "map", "keogram"])
def test_arrow_keys_on_each_panel(night, panel):
    one = canvas(night, panel)
    for _ in range(3): one.press("ArrowRight")
    says(night, "06:03:00 UTC")
    one.press("ArrowLeft")
    one.press("PageDown")
    says(night, "06:12:00 UTC")
    one.press("d")
    one.press("d")  # JupyterLab's keys to delete the cell
    assert night.page.locator(".jp-Notebook .jp-Cell").count() == 1


def test_keogram_click_and_drag(night):
    lines = canvas(night, "keogram")
    box, cursor = lines.bounding_box(), night.page.locator(".aurora-cursor").last
    at = lambda minute: box["width"] * (minute + 0.5) / 40
    lines.click(position={"x": at(30), "y": 40})
    says(night, "06:30:00 UTC")
    assert abs(cursor.bounding_box()["x"] + 1 - box["x"] - at(30)) < 2
    night.page.mouse.move(box["x"] + at(30), box["y"] + 40)
    night.page.mouse.down()
    night.page.mouse.move(box["x"] + at(12), box["y"] + 40, steps=10)
    night.page.mouse.up()
    says(night, "06:12:00 UTC")


def test_bright_spot_is_where_it_was_put(night):
    "North-east first, east on the left of the sky and on the right of the map; then south-west."
    places = {}
    for minute in (0, 39):
        canvas(night, "fisheye").press("Home" if minute == 0 else "End")
        says(night, f"06:{minute:02d}:00 UTC")
        for panel in ("fisheye", "map"): places[panel, minute] = canvas(night, panel).evaluate(BRIGHTEST)
    row, column = night.kernel("(lambda i: (int(i[0]), int(i[1])))(np.unravel_index(sky_at(0).argmax(), (128, 128)))")
    azimuth, elevation = night.kernel(f"(float(skymap.azimuth[{row}, {column}]), float(skymap.elevation[{row}, {column}]))")
    x, y = night.kernel(f"(lambda a, r: (float(0.5 - r * np.sin(a)), float(0.5 - r * np.cos(a))))"
                        f"(np.radians({azimuth}), (90 - {elevation}) / 2 / explorer.panels[0].extent[1])")
    assert places["fisheye", 0] == pytest.approx([x, y], abs=0.02)
    (east, north), (west, south) = places["map", 0], places["map", 39]
    assert west < 0.5 < east and north < 0.5 < south
    assert places["fisheye", 0][0] < 0.5 < places["fisheye", 39][0]


def test_play_and_stop(night):
    buttons = night.page.locator(".aurora-explorer .widget-play button")
    buttons.first.click()
    night.page.wait_for_function("() => document.querySelector('.aurora-text').innerText.includes('06:05:00')", timeout=10_000)
    buttons.first.click()  # the same button pauses
    night.page.wait_for_timeout(300)
    at = night.kernel("explorer.state.index")
    night.page.wait_for_timeout(400)
    assert at >= 5 and night.kernel("explorer.state.index") == at


def test_brightness(night):
    one, white = canvas(night, "fisheye"), night.page.locator(".aurora-explorer .noUi-handle-upper").first
    lighter = "([canvas, was]) => (" + LIGHT + ")(canvas) > was"
    before, limits = one.evaluate(LIGHT), night.kernel("explorer.state.limits")
    for _ in range(12): white.press("PageDown")
    night.page.wait_for_function(lighter, arg=[one.element_handle(), before])
    assert night.kernel("explorer.state.limits[1]") < limits[1] and night.kernel("explorer.state.limits[0]") == limits[0]
    before = one.evaluate(LIGHT)
    night.page.get_by_role("button", name="Fit to frame").click()
    night.page.wait_for_function(lighter.replace("> was", "!== was"), arg=[one.element_handle(), before])


def test_an_error_in_a_callback_is_shown(night):
    night.kernel("(__import__('os').environ.pop('IN_TEST'), __import__('logging').disable(50))")
    night.kernel("setattr(explorer.state, 'go_to', lambda time: 1 / 0)")
    canvas(night, "keogram").click(position={"x": 200, "y": 40})
    says(night, "ZeroDivisionError: division by zero", ".aurora-warning")
    night.kernel("setattr(explorer.state, 'error', '')")
    night.kernel("(delattr(explorer.state, 'go_to'), __import__('os').environ.update(IN_TEST='1'))")
    canvas(night, "keogram").click(position={"x": 200, "y": 40})
    assert night.kernel("explorer.state.index") > 0


def test_an_error_reaches_the_test(night):
    "With IN_TEST a callback's error is a complaint: this test of the fixture itself."
    night.kernel("setattr(explorer.state, 'go_to', lambda time: 1 / 0)")
    canvas(night, "keogram").click(position={"x": 200, "y": 40})
    night.page.wait_for_function("window.kernelErrors.length > 0")
    assert night.complaints() == ["ZeroDivisionError: division by zero"]
    night.kernel("(delattr(explorer.state, 'go_to'), setattr(explorer.state, 'error', ''))")
    night.forget_complaints()


def test_latency_and_screenshot(night):
    "Arrow key to paint is kept in test-output/; the limit is loose because test machines are busy."
    one = canvas(night, "fisheye")
    night.page.evaluate(WATCH_LATENCY, ".aurora-canvas[aria-label=fisheye]")
    for step in range(30):
        one.press("ArrowRight")
        night.page.wait_for_function("count => window.latencies.length > count", arg=step)
    latencies = sorted(night.page.evaluate("window.latencies"))
    file = night.screenshot("night_explorer")
    file.with_suffix(".json").write_text(json.dumps({"key to paint, ms": {"median": latencies[15], "28 of 30": latencies[27]}}))
    assert latencies[15] < 1000


def test_difficult_nights(lab):
    "A block that fails, colour without a skymap, a single frame as stored: all in one notebook."
    page = lab.open(NIGHT, OTHERS, viewport=(1280, 2600)).run_all()
    canvas(page, "keogram", ".t-failing").click(position={"x": 230, "y": 40})
    says(page, "cannot be read: OSError: 0610.pgm.gz is <cut>", ".t-failing .aurora-warning")
    canvas(page, "keogram", ".t-failing").press("End")
    says(page, "06:39:00 UTC", ".t-failing .aurora-text")
    assert page.page.locator(".t-failing .aurora-warning").inner_text().strip() == ""
    assert "No map" in page.page.locator(".t-colour").inner_text()
    says(page, "MLT unknown", ".t-colour .aurora-text")
    canvas(page, "fisheye", ".t-colour").press("ArrowRight")
    says(page, "06:01:00 UTC", ".t-colour .aurora-text")
    red, green, blue = canvas(page, "fisheye", ".t-colour").evaluate(
        "c => [...c.getContext('2d').getImageData(64, 64, 1, 1).data].slice(0, 3)")
    assert red > green >= blue
    says(page, "06:07:00 UTC", ".t-single .aurora-text")
    canvas(page, "map", ".t-single").press("ArrowRight")
    says(page, "06:07:00 UTC", ".t-single .aurora-text")
    page.screenshot("night_explorer_difficult")
    assert not page.complaints()
    page.close()

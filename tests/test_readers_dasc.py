"DASC FITS: real files, and what is no image of this camera."
import gzip
import shutil

import numpy as np
import pytest
from astropy.io import fits

import reader_samples
from aurora_nb.core import AuroraError
from aurora_nb.frames import problem_table
from aurora_nb.readers.base import open_allsky
from aurora_nb.readers.dasc import DascFits

NAME = "PKR_DASC_0558_20151007_082351.743.FITS"


@pytest.fixture(scope="module")
def real(shared_data):
    return shared_data / "dasc_fits"


def reasons(frames): return {path.rsplit("/", 1)[-1]: reason for path, reason in frames.problem_files.items()}


@pytest.mark.parametrize("load", [True, False])
def test_a_folder_with_three_colours(real, load):
    frames = open_allsky(real, load=load, cache=False)
    assert frames.wavelength_nm.values.tolist() == [558, 428, 630, 558]
    assert [str(time)[11:23] for time in frames.time.values] == ["08:23:51.743", "08:23:55.961", "08:23:59.586", "08:24:04.243"]
    assert (frames.station, frames.array, frames.camera) == ("pkr", "dasc", "DU8201_BV 2665")
    assert frames.image.dtype == np.dtype("int16") and frames.image.dtype.isnative
    for number, image in enumerate(frames.image):
        with fits.open(frames.source[frames.source_file.values[number]]) as file:
            np.testing.assert_array_equal(image.values, file[0].data)


def test_calibration_is_reported_with_advice(real):
    found = reasons(open_allsky(real))
    assert set(found) == {"PKR_DASC_0558_20150213_Az.FIT", "PKR_DASC_0558_20150213_El.FIT", "LICENSE.txt"}
    assert all("open_skymap" in found[f"PKR_DASC_0558_20150213_{part}.FIT"] for part in ("Az", "El"))
    with pytest.raises(AuroraError, match="open_skymap"):
        open_allsky(real / "PKR_DASC_0558_20150213_Az.FIT", reader="dasc_fits")


def test_time_range_by_name_and_header(real):
    frames = open_allsky(real / "PKR*", time_range=("2015-10-07T08:23:55", "2015-10-07T08:24:00"))
    assert frames.wavelength_nm.values.tolist() == [428, 630]


def test_one_bad_file_never_stops_a_folder(real, tmp_path):
    good = (real / NAME).read_bytes()
    shutil.copy(real / NAME, tmp_path)
    (tmp_path / "packed.FITS.gz").write_bytes(gzip.compress((real / "PKR_DASC_0630_20151007_082359.586.FITS").read_bytes()))
    for name, content in {"cut.FITS": good[:200_000], "cut_header.FITS": good[:1000], "empty.FITS": b"", "page.FITS": b"<html>404",
                          "half.FITS.gz": gzip.compress(good)[:-9000], "garbage.FITS": b"SIMPLE  =" + bytes(range(256)) * 90,
                          "big.FITS": good.replace(b"NAXIS1  =                  512", b"NAXIS1  =              9999512"),
                          "table.FITS": good.replace(b"NAXIS   =                    2", b"NAXIS   =                    0"),
                          "type.FITS": good.replace(b"BITPIX  =                   16", b"BITPIX  =                   17")}.items():
        (tmp_path / name).write_bytes(content)
    frames = open_allsky(tmp_path)
    assert frames.wavelength_nm.values.tolist() == [558, 630] and len(problem_table(frames)) == 9
    assert open_allsky(tmp_path, load=False, cache=False).time.equals(frames.time)
    found = reasons(frames)
    assert "cut" in found["cut.FITS"] and "an empty file" in found["empty.FITS"] and "HTML" in found["page.FITS"]


def test_header_wins_over_name_and_both_are_told(real, tmp_path):
    shutil.copy(real / NAME, tmp_path / "PKR_DASC_0630_20151008_082351.743.FITS")
    frames = open_allsky(tmp_path)
    assert str(frames.time.values[0])[:10] == "2015-10-07" and frames.wavelength_nm == 558
    (reason,) = frames.problem_files.values()
    assert "2015-10-08" in reason and "630 nm" in reason


def test_other_size_in_the_middle_of_a_night(real, tmp_path):
    for path in real.glob("PKR*2015100*"): shutil.copy(path, tmp_path)
    small = DascFits()._open(real / NAME)
    assert small[0].shape == (512, 512)
    header = fits.getheader(real / NAME)
    for key in ("IMSIZEX", "IMSIZEY"): header[key] = 256
    header["OBSSTART"] = "08:23:57.000"
    fits.PrimaryHDU(np.zeros((256, 256), "i2"), header).writeto(tmp_path / "PKR_DASC_0428_20151007_082357.000.FITS")
    frames = open_allsky(tmp_path)
    assert frames.sizes["time"] == 4 and "256 x 256" in "".join(frames.problem_files.values())


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "f4", "f8"])
def test_every_type_as_astropy_reads_it(tmp_path, dtype):
    image = (np.random.default_rng(0).random((5, 7)) * 250).astype(dtype)
    header = fits.Header({"OBSDATE": "2015-10-07", "OBSSTART": "08:23:51"})
    fits.PrimaryHDU(image, header).writeto(tmp_path / "a.fits")
    frames = open_allsky(tmp_path)
    assert frames.image.dtype == dtype
    np.testing.assert_array_equal(frames.image[0], image)


def test_gzip(tmp_path):
    path, _, image = reader_samples.dasc_fits(tmp_path, gz=True)
    np.testing.assert_array_equal(open_allsky(path).image, image)

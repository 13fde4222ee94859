"Labelled sets, discs and preparation on real files; sets of every kind of damage."
from aurora_nb.learn.datasets import open_labelled, relabelled  # before torch, see 50_learn

import shutil
import tarfile
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aurora_nb.core import AuroraError, FileProblem
from aurora_nb.learn.discs import find_disc
from aurora_nb.learn.images import cache_key, prepared_images, take_images
from aurora_nb.learn.loaders import classification_dls
from aurora_nb.learn.oath import unpack_archive
from aurora_nb.learn.preparation import Preparation, fitted_to, prepare_batch, prepare_image
from aurora_nb.learn.schemes import SCHEMES
from aurora_nb.learn.tables import check_images, label_codes, read_image
from aurora_nb.readers.base import open_allsky
from aurora_nb.readers.pictures import read_picture
from aurora_nb.simulate.layouts import oath_picture, write_labelled

pytestmark = pytest.mark.filterwarnings("ignore:open_labelled:UserWarning")


@pytest.fixture(scope="module")
def oath(shared_data):
    "The excerpt of OATH: all labels, ten pictures, all in one folder."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return open_labelled(shared_data / "oath")


def test_real_oath_opens_flat(oath, shared_data):
    expected = pd.read_csv(shared_data / "oath/labels_of_the_10_images.csv", dtype={"picNum": str})
    assert oath.number.tolist() == expected.picNum.tolist()
    assert oath.label.tolist() == expected.picType.tolist()
    assert oath.rotation.tolist() == expected.rotAng.tolist()
    assert oath.attrs["classes"] == SCHEMES["oath"].classes
    assert len(oath.attrs["problem_files"]) == 5814
    assert set(oath.attrs["problem_files"].values()) == {
        "found no picture, expected one for its label in classifications.csv"}


def test_real_oath_labels_alone(shared_data):
    table = open_labelled(shared_data / "oath", missing="keep")
    counts = table.label.value_counts()
    assert [int(counts[name]) for name in table.attrs["classes"]] == [774, 1102, 1400, 852, 614, 1082]
    two = open_labelled(shared_data / "oath", "oath2", missing="keep")
    assert two.label.value_counts().to_dict() == {"aurora": 3276, "none": 2548}
    assert (relabelled(table, "oath2").label == two.label).all()  # our map is the authors' own


def test_real_oath_keeps_sixteen_bits(oath):
    assert all(read_image(row).dtype == np.uint16 for row in oath.itertuples())
    images = prepared_images(oath, Preparation(size=128))
    taken = take_images(images, np.arange(10))
    assert all(len(np.unique(picture)) > 5000 for picture in taken)
    direct = prepare_batch([read_image(row) for row in oath.itertuples()], Preparation(size=128))
    assert np.abs(taken - direct).max() < 1e-5
    split = SimpleNamespace(train=np.arange(8), valid=np.array([8, 9]))
    pictures, codes = next(iter(classification_dls(oath, split, batch=4, device="cpu").train))
    assert pictures.dtype == torch.float32 and codes.dtype == torch.int64 and len(torch.unique(pictures)) > 5000


def test_real_oath_is_already_prepared(oath):
    "Its makers' scaling and ours agree: the disc's percentiles of their pictures are 0 and 1."
    green = read_image(oath.iloc[0])[..., 1] / 65535
    disc = Preparation().used_disc(green.shape).mask(green.shape)
    assert np.percentile(green[disc], 1) < 2e-3 and np.percentile(green[disc], 99) > 0.998
    assert not green[~Preparation().used_disc(green.shape).scaled(1.01).mask(green.shape)].any()


def test_raw_themis_and_its_oath_picture_prepare_alike(shared_data):
    frames = open_allsky(shared_data / "themis_cdf/thg_l1_asf_gako_2011010617_v01.cdf").image.values[::6]
    frames = np.concatenate([frames, open_allsky(next((shared_data / "themis_pgm").glob("*0600*.gz"))).image.values[::9]])
    for raw in frames:
        green = np.stack([0 * raw, oath_picture(raw), 0 * raw], -1)
        assert np.abs(prepare_image(raw, Preparation()) - prepare_image(green, Preparation())).max() < 1e-3


def test_tarball(oath, shared_data, tmp_path):
    with tarfile.open(tmp_path / "oath_v1.1.tgz", "w:gz") as archive:
        archive.add(shared_data / "oath/classifications.csv", "oath/classifications/classifications.csv")
        for row in oath.itertuples(): archive.add(row.file, f"oath/images/cropped_scaled/{row.number}.png")
    table = open_labelled(tmp_path / "oath_v1.1.tgz")
    assert table.label.tolist() == oath.label.tolist()
    assert (read_image(table.iloc[9]) == read_image(oath.iloc[9])).all()
    before = sorted(tmp_path.rglob("*"))
    open_labelled(tmp_path / "oath_v1.1.tgz")
    assert sorted(tmp_path.rglob("*")) == before


def test_links_and_devices_are_not_unpacked(tmp_path):
    for kind, target in ((tarfile.SYMTYPE, "/etc"), (tarfile.LNKTYPE, "../../x"), (tarfile.CHRTYPE, "")):
        with tarfile.open(tmp_path / "bad.tar", "w") as archive:
            member = tarfile.TarInfo("oath/bad")
            member.type, member.linkname = kind, target
            archive.addfile(member)
        with pytest.raises(FileProblem, match="cannot be unpacked"): unpack_archive(tmp_path / "bad.tar")
        assert [path.name for path in tmp_path.iterdir()] == ["bad.tar"]


def test_disc_of_real_cameras(shared_data):
    pictures = [read_picture(file)[0] for file in sorted((shared_data / "kho_color").glob("*.jpg"))]
    found = []
    for picture in pictures:
        try: found.append(find_disc(picture))
        except AuroraError: pass
    assert len(found) >= 15  # one of the sixteen is nearly black
    assert np.ptp(np.array(found), axis=0).max() < 3.5  # one camera, one disc
    assert np.allclose(find_disc(np.mean(pictures, 0)), np.median(found, 0), atol=1.5)
    dasc = open_allsky(shared_data / "dasc_fits/PKR_DASC_0558_20151007_082351.743.FITS").image.values[0]
    assert np.allclose(find_disc(dasc), (247, 243, 240), atol=3)
    raw = open_allsky(shared_data / "themis_cdf/thg_l1_asf_gako_2011010617_v01.cdf").image.values
    assert np.allclose(find_disc(raw.mean(0)), (127, 130, 127), atol=4)


def test_colour_jpeg_is_prepared(shared_data):
    pictures = np.stack([read_picture(file)[0] for file in sorted((shared_data / "kho_color").glob("*.jpg"))])
    for bands in (1, 3):
        prepared = prepare_batch(pictures, fitted_to(Preparation(size=96, bands=bands), pictures))
        assert prepared.shape == (16, bands, 96, 96) and np.isfinite(prepared).all()
        assert prepared[..., 0, 0].max() == 0 and prepared.max(axis=(1, 2, 3)).min() > 0.7


def test_frames_of_movies_and_streams(shared_data, tmp_path):
    movie, stream = shared_data / "kho_color/kho1.mp4", next((shared_data / "themis_pgm").glob("*0601*.gz"))
    rows = pd.DataFrame({"path": [movie, movie, stream, stream], "frame": [0, 700, 3, 500],
                         "label": ["arc", "discrete", "moon", "moon"]})
    table = open_labelled(rows, "table", columns={"file": "path"}, classes="oath", root="/")
    assert (read_image(table.iloc[2]) == open_allsky(stream).image.values[3]).all()
    assert read_image(table.iloc[1]).shape == (240, 320, 3)
    with pytest.warns(UserWarning, match="check_images: 1 problem"): assert len(check_images(table)) == 3
    images = prepared_images(table[:3], Preparation(size=32))
    assert take_images(images, [0, 1, 2]).max(axis=(1, 2, 3)).min() > 0.7
    assert len({cache_key(table[k:k + 1], Preparation()) for k in range(4)}) == 4


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(st.sampled_from(["u1", "u2", "i4", "f4", "f8"]), st.sampled_from([(9, 9), (12, 20), (16, 11, 3), (8, 8, 1)])),
       st.sampled_from(["disc", "frame", "range"]), st.sampled_from([1, 3]))
def test_whatever_comes_in_what_comes_out_is_between_0_and_1(image, stretch, bands):
    out = prepare_image(image, Preparation(size=8, bands=bands, stretch=stretch))
    assert out.shape == (bands, 8, 8) and out.dtype == np.float32
    assert np.isfinite(out).all() and out.min() >= 0 and out.max() <= 1


def test_damaged_set(oath, tmp_path):
    "Every kind of damage at once: the rest is used, and each is named."
    for name in ("00001.png", "00002.png", "00004.png", "00005.png"): shutil.copy(oath.iloc[0].file, tmp_path / name)
    cut = (tmp_path / "00002.png").read_bytes()
    (tmp_path / "00002.png").write_bytes(cut[: len(cut) // 2])
    (tmp_path / "00004.png").write_text("no picture")
    (tmp_path / "classifications.csv").write_text(
        "class2,class6,picNum,picType,rotAng\n" + "".join(f"0,{code},{number:05d},x,001\n" for number, code in
                                                          ((1, 0), (2, 1), (3, 2), (4, 2), (6, 7))))
    with pytest.warns(UserWarning, match="4 problem files"): table = open_labelled(tmp_path)
    assert table.number.tolist() == ["00001", "00002", "00004"]
    with pytest.warns(UserWarning, match="check_images: 2"): good = check_images(table)
    assert good.number.tolist() == ["00001"] and len(good.attrs["problem_files"]) == 6
    assert label_codes(good).tolist() == [0]
    with pytest.raises(FileProblem, match="class6 7"): open_labelled(tmp_path, on_error="raise")


def test_simulated_layouts_with_nights(tmp_path):
    from aurora_nb.frames import build_frames

    rng = np.random.default_rng(0)
    for night, start in enumerate(("2015-01-20T04:00", "2015-01-23T04:00")):
        times = np.datetime64(start, "ns") + np.arange(4) * np.timedelta64(90, "s")
        frames = build_frames(rng.integers(0, 999, (4, 256, 256)).astype("u2"), times, "gill", seed=night, simulated=True)
        classes = {"oath": ["arc", "moon"] * 2, "kiruna": ["edge", ""] * 2, "yellow_river": ["arc", "radial"] * 2}
        frames = frames.assign({name: ("time", np.array(words)) for name, words in classes.items()})
        for layout in classes: write_labelled(frames, tmp_path / layout, layout, weather="clear")
    for layout, count in (("oath", 8), ("kiruna", 4), ("yellow_river", 8)):
        table = open_labelled(tmp_path / layout, layout)
        assert len(table) == count and set(table.night) == {"gill_20150119", "gill_20150122"}
        assert {"seed", "weather"} <= set(table) and table.time.is_monotonic_increasing
        assert set(table.label) <= set(table.attrs["classes"]) and isinstance(table.index, pd.RangeIndex)

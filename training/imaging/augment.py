"""Random changes of acquisition for training, on whole batches.

Images of one site and one class tend to share a look (field of view, grey background, sharpness,
side marker, wires), and a network learns that look before it learns the disease. Each step here
takes one such look away from both classes alike. Batched torch because a per-image transform chain
costs more than the network on two cores; drawing and JPEG are per image. Grey values 0..1 in,
0..1 out, same size; `preprocess` comes afterwards, as in serving.
"""

from __future__ import annotations

import io
import math

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

GreyBatch = npt.NDArray[np.uint8]


class Augmenter:
    """Seeded augmentation; `strength` 1.0 is the recipe, 0.0 leaves the images as they are.

    For images of at least 32 pixels each way.
    """

    def __init__(self, seed: int, strength: float = 1.0) -> None:
        self.strength = strength
        self._numpy = np.random.default_rng(seed)
        self._torch = torch.Generator().manual_seed(seed)

    def __call__(self, batch: GreyBatch) -> npt.NDArray[np.float32]:
        """float32 [N, H, W] in 0..1 from uint8 [N, H, W]."""
        if self.strength == 0.0:
            return batch.astype(np.float32) / 255.0
        drawn = np.stack([self._overlay_and_compress(image) for image in batch])
        x = torch.from_numpy(drawn)[:, None].float().div_(255.0)
        x = self._background(x)
        x = self._geometry(x)
        x = self._local_contrast(x)
        x = self._shading(x)
        x = self._sharpness(x)
        x = self._exposure(x)
        x = self._borders(x)
        return x[:, 0].clamp_(0.0, 1.0).numpy()

    def _uniform(self, n: int, low: float, high: float) -> Tensor:
        return torch.empty(n, 1, 1, 1).uniform_(low, high, generator=self._torch)

    def _chosen(self, n: int, probability: float) -> Tensor:
        return (self._uniform(n, 0.0, 1.0) < probability * self.strength).float()

    def _overlay_and_compress(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Markers, wires and a round of JPEG or lower resolution, each on part of the images."""
        rng = self._numpy
        marker, wire, squeeze = rng.random(3) < np.array([0.35, 0.2, 0.35]) * self.strength
        if not (marker or wire or squeeze):
            return image
        picture = Image.fromarray(image)
        draw = ImageDraw.Draw(picture)
        width, height = picture.size
        if marker:
            x, y = rng.uniform(0, width * 0.94), rng.uniform(0, height * 0.94)
            text = str(rng.choice(["R", "L", "A-P", "PORT", "R 12"]))
            largest = 0.09 * width
            size = float(rng.uniform(min(6.0, largest), largest))
            draw.text((x, y), text, fill=int(rng.integers(160, 256)), font_size=size)
        if wire:
            points = rng.uniform(0, width, (3, 2)).repeat(2, axis=0) + rng.normal(0, 6, (6, 2))
            draw.line([tuple(p) for p in points], fill=int(rng.integers(150, 256)), joint="curve")
        if squeeze and rng.random() < 0.6:
            buffer = io.BytesIO()
            picture.save(buffer, format="JPEG", quality=int(rng.integers(15, 80)))
            picture = Image.open(buffer)
        elif squeeze:
            share = rng.uniform(0.4, 0.9)
            small = (int(width * share), int(height * share))
            picture = picture.resize(small, Image.Resampling.BILINEAR)
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(picture.convert("L"), dtype=np.uint8)

    def _background(self, x: Tensor) -> Tensor:
        """Air around the body becomes grey: the black surround is one site's look."""
        n = len(x)
        floor = self._uniform(n, 0.0, 0.35) * self._chosen(n, 0.4)
        return torch.maximum(x, floor)

    def _geometry(self, x: Tensor) -> Tensor:
        """Field of view, aspect ratio, tilt, shear, position and side, in one resampling."""
        n, s = len(x), self.strength
        zoom = torch.exp(self._uniform(n, -0.45 * s, 0.12 * s)).view(n)
        aspect = torch.exp(self._uniform(n, -0.14 * s, 0.14 * s)).view(n)
        angle = (self._uniform(n, -15.0 * s, 15.0 * s) * (math.pi / 180.0)).view(n)
        shear = self._uniform(n, -0.1 * s, 0.1 * s).view(n)
        flip = 1.0 - 2.0 * self._chosen(n, 0.5).view(n)
        room = (1.0 - zoom).clamp(min=0.0) * 0.7 + 0.06 * s
        shift = torch.empty(n, 2).uniform_(-1.0, 1.0, generator=self._torch) * room[:, None]
        cos, sin = torch.cos(angle), torch.sin(angle)
        theta = torch.stack(
            [
                torch.stack([flip * zoom * aspect * cos, -zoom * (sin + shear), shift[:, 0]], 1),
                torch.stack([flip * zoom * sin, zoom / aspect * cos, shift[:, 1]], 1),
            ],
            dim=1,
        )
        grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
        return functional.grid_sample(x, grid, padding_mode="zeros", align_corners=False)

    def _local_contrast(self, x: Tensor) -> Tensor:
        """Makers' image processing: detail against its surroundings, weakened or exaggerated."""
        n, (height, width) = len(x), x.shape[-2:]
        amount = self._uniform(n, -0.5, 1.2) * self._chosen(n, 0.5)
        scale = int(torch.randint(6, 17, (1,), generator=self._torch))
        grid = (max(2, height // scale), max(2, width // scale))
        coarse = functional.adaptive_avg_pool2d(x, grid)
        smooth = functional.interpolate(coarse, size=(height, width), mode="bicubic")
        return x + amount * (x - smooth)

    def _shading(self, x: Tensor) -> Tensor:
        """A smooth multiplicative field: heel effect, rotation, uneven backlight."""
        n = len(x)
        coarse = torch.randn(n, 1, 3, 3, generator=self._torch) * 0.22
        field = functional.interpolate(coarse, size=x.shape[-2:], mode="bicubic")
        return x * torch.exp(field * self._chosen(n, 0.5))

    def _sharpness(self, x: Tensor) -> Tensor:
        """Blur or unsharp mask, then detector noise."""
        n = len(x)
        sigma = float(torch.empty(1).uniform_(0.5, 1.8, generator=self._torch))
        soft = _blur(_blur(x, sigma, dim=3), sigma, dim=2)
        amount = self._uniform(n, -1.0, 1.0) * self._chosen(n, 0.5)
        noise = torch.randn(x.shape, generator=self._torch)
        grain = self._uniform(n, 0.0, 0.06) * self._chosen(n, 0.4)
        return x + amount * (x - soft) + noise * grain

    def _exposure(self, x: Tensor) -> Tensor:
        """Gain, offset and gamma; what saturates is lost, as on a detector."""
        n = len(x)
        gain = torch.exp(self._uniform(n, -0.6, 0.4) * self._chosen(n, 0.6))
        offset = self._uniform(n, -0.15, 0.15) * self._chosen(n, 0.5)
        gamma = torch.exp(self._uniform(n, -0.6, 0.6) * self._chosen(n, 0.5))
        return (x * gain + offset).clamp(1e-4, 1.0) ** gamma

    def _borders(self, x: Tensor) -> Tensor:
        """Collimation edges and a blank rectangle, of any grey."""
        n, (height, width) = len(x), x.shape[-2:]
        rows = ((torch.arange(height) + 0.5) / height).view(1, 1, height, 1)
        columns = ((torch.arange(width) + 0.5) / width).view(1, 1, 1, width)
        reach = [self._uniform(n, 0.0, 0.14) * self._chosen(n, 0.25) for _ in range(4)]
        outside = (rows < reach[0]) | (rows > 1 - reach[1])
        outside = outside | (columns < reach[2]) | (columns > 1 - reach[3])
        x = torch.where(outside, self._uniform(n, 0.0, 1.0) ** 3, x)
        top, left = self._uniform(n, 0.0, 0.8), self._uniform(n, 0.0, 0.8)
        tall, wide = self._uniform(n, 0.08, 0.3), self._uniform(n, 0.08, 0.3)
        inside = (rows > top) & (rows < top + tall) & (columns > left) & (columns < left + wide)
        inside = inside & (self._chosen(n, 0.3) > 0)
        return torch.where(inside, self._uniform(n, 0.0, 1.0), x)


def _blur(x: Tensor, sigma: float, *, dim: int, reach: int = 3) -> Tensor:
    """Gaussian blur along one axis: shifted sums, ten times a one-channel conv2d on a CPU."""
    taps = torch.exp(-0.5 * (torch.arange(reach + 1.0) / sigma) ** 2)
    taps = taps / (2.0 * taps.sum() - taps[0])
    out = x * taps[0]
    for offset in range(1, reach + 1):
        for shift in (offset, -offset):
            out += torch.roll(x, shift, dims=dim) * taps[offset]
    return out

"""Drawn pictures, and what a near-duplicate may have gone through."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps


def picture(seed, size=(240, 240)):
    """Blobs of several sizes: like photographs, they keep their looks when resized or re-encoded."""
    rng = np.random.default_rng(seed)
    layers = [Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)) for n in (4, 9, 20)]
    wide = [np.asarray(layer.resize(size, Image.Resampling.BICUBIC), dtype=float) for layer in layers]
    return Image.fromarray((0.5 * wide[0] + 0.3 * wide[1] + 0.2 * wide[2]).astype(np.uint8))


def grey(image):
    return np.asarray(image.convert("L").resize((64, 64), Image.Resampling.BILINEAR), dtype=np.float32)


def jpeg_40(image):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer)


def captioned(image):
    """White letters, and a banner of an eighth of the height that lets a third of the picture through."""
    overlay = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(overlay)
    draw.rectangle((0, 208, 240, 240), fill=(0, 0, 0, 170))
    draw.text((20, 210), "SAMPLE 2026", "white", ImageFont.load_default(24))
    return Image.alpha_composite(image.convert("RGBA"), overlay).convert("RGB")


def labelled(image):
    image = image.copy()
    ImageDraw.Draw(image).rectangle((20, 200, 120, 220), fill="white")
    return image


CHANGES = {
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned left": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned right": lambda image: image.transpose(Image.Transpose.ROTATE_270),
    "turned around": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "cropped in the middle": lambda image: image.crop((24, 24, 216, 216)),
    "cropped to a corner": lambda image: image.crop((0, 48, 192, 240)),
    "cropped and mirrored": lambda image: ImageOps.mirror(image.crop((11, 30, 211, 230))),
    "smaller": lambda image: image.resize((100, 100), Image.Resampling.LANCZOS),
    "JPEG 40": jpeg_40,
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.85),
    "paler": lambda image: ImageEnhance.Color(image).enhance(0.6),
    "captioned": captioned,
    "labelled": labelled,
}

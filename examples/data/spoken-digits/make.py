#!/usr/bin/env python3
"""Makes digits.npz: handwritten digits, each paired with the same digit spoken.

    python make.py --out digits.npz

Needs Python 3.9 or later with numpy, scipy and scikit-learn, and the program
espeak-ng on the search path. Takes well under a minute on one core. The seed is
fixed and the zip's time stamps too, so that two runs with the same versions of
these tools write the same bytes.

Image: scikit-learn's `load_digits` (UCI, 1,797 digits of 8x8), enlarged, turned,
scaled, shifted, with a patch of another digit of the same split over it, and noise.
Audio: espeak-ng says the digit's English name; noise is added; log-spectrogram.
Both are 28x28 and have 16 levels, stored as multiples of 17 in uint8.
"""

import argparse
import hashlib
import io
import subprocess
import zipfile

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits

SEED = 20250621
SIZES = {"train": 1000, "val": 300, "test": 497}
WORDS = "zero one two three four five six seven eight nine".split()

# espeak-ng voices ("language+variant"). The heard ones speak in every split. Half of
# validation and half of test is spoken by voices that no other split has.
HEARD = ["en-us+m1", "en-us+f2", "en-gb+m3"]
UNHEARD = {"val": ["de+f4", "it+m7"], "test": ["fr+f1", "es+m5"]}
SPEEDS = (120, 210)  # words a minute, both ends included
PITCHES = (20, 80)  # espeak-ng's scale of 0 to 99
SNR_DB = 15.0
FREQUENCY = (100.0, 8000.0)  # the band the spectrogram keeps, Hz
FLOOR_DB = 60.0  # levels more than this below the loudest are 0

TURN = 15.0  # degrees either way
SCALE = (0.9, 1.3)
SHIFT = 3.0  # pixels either way
PATCH = 8  # side of the patch of another digit
IMAGE_NOISE = 0.1


def sixteen_levels(a):
    """[0, 1] to 16 levels: 0, 17, ... 255."""
    return (np.rint(np.clip(a, 0.0, 1.0) * 15.0) * 17.0).astype(np.uint8)


def draw_digit(small, rng):
    """An 8x8 digit in [0, 1], turned, scaled and shifted, on 28x28."""
    big = np.pad(ndimage.zoom(small, 20 / 8, order=1, grid_mode=True, mode="nearest"), 4)
    angle = np.deg2rad(rng.uniform(-TURN, TURN))
    scale = rng.uniform(*SCALE)
    shift = rng.uniform(-SHIFT, SHIFT, size=2)
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.array([[c, -s], [s, c]]) / scale
    centre = np.array([13.5, 13.5])
    offset = centre - matrix @ (centre + shift)
    return ndimage.affine_transform(big, matrix, offset, order=1)


def make_image(small, other, rng):
    image = draw_digit(small, rng)
    clutter = draw_digit(other, rng)
    if PATCH:
        fy, fx = rng.integers(4, 24 - PATCH + 1, size=2)
        ty, tx = rng.integers(0, 28 - PATCH + 1, size=2)
        there = image[ty : ty + PATCH, tx : tx + PATCH]
        np.maximum(there, clutter[fy : fy + PATCH, fx : fx + PATCH], out=there)
    return sixteen_levels(image + IMAGE_NOISE * rng.standard_normal(image.shape))


def speak(word, voice, speed, pitch):
    """The wave and its rate."""
    done = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", word],
        check=True,
        capture_output=True,
    )
    data = done.stdout
    assert data[:4] == b"RIFF" and data[36:40] == b"data", "espeak-ng wrote no plain WAV"
    rate = int.from_bytes(data[24:28], "little")
    wave = np.frombuffer(data[44 : len(data) - len(data) % 2], "<i2").astype(np.float64) / 32768.0
    loud = np.flatnonzero(np.abs(wave) > 0.01)
    return wave[loud[0] : loud[-1] + 1], rate


def area_resize(a, rows, columns):
    """Area-weighted mean, to any smaller or larger size."""

    def weights(n_in, n_out):
        edges = np.linspace(0, n_in, n_out + 1)
        lo = np.maximum(edges[:-1, None], np.arange(n_in)[None])
        hi = np.minimum(edges[1:, None], np.arange(1, n_in + 1)[None])
        w = np.clip(hi - lo, 0, None)
        return w / w.sum(1, keepdims=True)

    return weights(a.shape[0], rows) @ a @ weights(a.shape[1], columns).T


def make_audio(digit, voice, rng):
    speed = int(rng.integers(SPEEDS[0], SPEEDS[1] + 1))
    pitch = int(rng.integers(PITCHES[0], PITCHES[1] + 1))
    wave, rate = speak(WORDS[digit], voice, speed, pitch)
    power = np.mean(wave**2)
    wave = wave + np.sqrt(power / 10 ** (SNR_DB / 10)) * rng.standard_normal(wave.size)
    n, hop = 512, 128
    wave = np.pad(wave, n // 2)
    frames = np.lib.stride_tricks.sliding_window_view(wave, n)[::hop] * np.hanning(n)
    spectrum = np.abs(np.fft.rfft(frames, axis=1).T) ** 2
    hertz = np.fft.rfftfreq(n, 1 / rate)
    spectrum = spectrum[(hertz >= FREQUENCY[0]) & (hertz <= FREQUENCY[1])]
    level = 10 * np.log10(spectrum / spectrum.max() + 1e-12)
    level = np.clip(1 + level / FLOOR_DB, 0, 1)
    return sixteen_levels(area_resize(level, 28, 28)[::-1])  # high frequencies on top


def make():
    digits = load_digits()
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(digits.target))
    start, arrays, voices = 0, {}, {}
    for split, size in SIZES.items():
        index = order[start : start + size]
        start += size
        # Every voice says every digit about equally often.
        voice = [HEARD[i % len(HEARD)] for i in range(size)]
        if split in UNHEARD:
            new = UNHEARD[split]
            voice = [v if i % 2 else new[i // 2 % len(new)] for i, v in enumerate(voice)]
        labels = digits.target[index].astype(np.int64)
        images, audios = [], []
        for i, j in enumerate(index):
            other = digits.images[rng.choice(index)] / 16.0
            images.append(make_image(digits.images[j] / 16.0, other, rng))
            audios.append(make_audio(int(labels[i]), voice[i], rng))
        arrays[f"{split}_image"] = np.stack(images)
        arrays[f"{split}_audio"] = np.stack(audios)
        arrays[f"{split}_labels"] = labels
        voices[split] = voice
    return arrays, voices


def npz_bytes(arrays):
    """An .npz in deflate level 9 with a fixed time stamp."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            one = io.BytesIO()
            np.lib.format.write_array(one, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            info.create_system = 3
            archive.writestr(info, one.getvalue(), compresslevel=9)
    return out.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="digits.npz", help="the file to write")
    out = parser.parse_args().out
    arrays, voices = make()
    data = npz_bytes(arrays)
    with open(out, "wb") as f:
        f.write(data)
    for split, voice in voices.items():
        count = {v: voice.count(v) for v in dict.fromkeys(voice)}
        print(split, arrays[f"{split}_image"].shape, count)
    print(f"{out}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()

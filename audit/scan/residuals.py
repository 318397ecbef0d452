"""Edits of low contrast: pixels that are a little brighter or darker than their neighbours in one class only.

A plain t-test of the residual flags hundreds of pixels of clean digits, because anatomy and strokes, too, differ
between classes. They do so over regions, though: so each t is held against those around it, and only a pixel that
stands alone among them counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter
from scipy.stats import norm

from audit.data.dataset import Images, Labels
from audit.scan.isolation import Mask

CLIP = 24  # grey levels: larger residuals are edges and isolated pixels, which other tests look for
WINDOW = 9  # pixels: the surroundings whose t is compared, without the pixel itself
SAFETY = 1.2  # threshold over the Gaussian one: t-values of real images have heavier tails
LEAST_EFFECT = 1.0  # grey levels between the means of a class and of the others
UNEVENNESS = 0.05  # grey levels squared: rounding, so that a constant background has no infinite t
CHUNK_PIXELS = 8_000_000
USABLE = 0.5  # share of a class's images, at least, whose residual at a position says something
SURROUNDED = 0.9  # share of the surroundings, at least, that say something
MEDIAN, UPPER_QUARTILE = 40, 60  # ranks among the 80 pixels of the surroundings
CHUNK_PLACES = 50_000  # whose surroundings are sorted at a time
QUARTILE_OF_NORMAL = 1.15  # 75th percentile of |z|

Floats = npt.NDArray[np.float64]
Places = tuple[npt.NDArray[np.int64], ...]  # (M,) each: class, row, column


@dataclass(frozen=True)
class LowContrast:
    """One pixel of one class that stands out on the mean."""

    label: int
    channel: int
    row: int
    col: int
    effect: float  # grey levels, signed: mean residual of the class minus that of the others
    own: float  # grey levels: mean residual of the class, without sign
    stands_out: float  # among its surroundings, in units of their spread


def low_contrast_pixels(
    images: Images, labels: Labels, unusable: Mask, classes: int, alarm_rate: float
) -> list[LowContrast]:
    """Pixels of uint8 (N, C, H, W) at the stated rate of false alarms per data set, corrected over all of them.

    `unusable` (N, H, W): padding and borders, at whose edges residuals are large for a reason that is known. The
    outermost pixels are left out: what is outside of the picture is not known.
    """
    tests = classes * images[0].size
    threshold = SAFETY * norm.isf(alarm_rate / 2 / tests)
    found = []
    for channel in range(images.shape[1]):
        t, effect, own, enough = t_values(images[:, channel], labels, unusable, classes)
        alone = against_surroundings(t, enough, threshold)
        alone[:, [0, -1]] = 0
        alone[:, :, [0, -1]] = 0
        for label, row, col in np.argwhere((np.abs(alone) > threshold) & (np.abs(effect) >= LEAST_EFFECT)):
            where = (label, row, col)
            found.append(
                LowContrast(
                    int(label),
                    channel,
                    int(row),
                    int(col),
                    float(effect[where]),
                    float(abs(own[where])),
                    float(abs(alone[where])),
                )
            )
    return found


def residuals(plane: Images) -> npt.NDArray[np.float32]:
    """(N, H, W): pixel minus the mean of its eight neighbours, clipped."""
    pixels = plane.astype(np.float32)
    mean_of_nine = uniform_filter(pixels, (0, 3, 3), mode="mirror")
    clipped: npt.NDArray[np.float32] = np.clip((pixels - mean_of_nine) * (9 / 8), -CLIP, CLIP)
    return clipped


def t_values(
    plane: Images, labels: Labels, unusable: Mask, classes: int
) -> tuple[Floats, Floats, Floats, Mask]:
    """(K, H, W) Welch's t of each class against the others, the difference of means, and the mean of the class, in grey
    levels; all 0 where too few images can be used; and where enough can."""
    shape = (classes, *plane.shape[1:])
    sums, squares, count = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    step = max(1, CHUNK_PIXELS // plane[0].size)
    for start in range(0, len(plane), step):
        chunk, own = residuals(plane[start : start + step]), labels[start : start + step]
        usable = ~near(unusable[start : start + step])
        chunk *= usable
        for label in np.unique(own):
            members = own == label
            sums[label] += chunk[members].sum(axis=0, dtype=np.float64)
            squares[label] += np.square(chunk[members]).sum(axis=0, dtype=np.float64)
            count[label] += usable[members].sum(axis=0)
    sizes = np.bincount(labels, minlength=classes).astype(float)[:, None, None]
    rest = np.maximum(count.sum(axis=0) - count, 1)
    enough = (count >= USABLE * sizes) & (rest >= USABLE * (sizes.sum() - sizes))
    count = np.maximum(count, 1)
    mean, mean_rest = sums / count, (sums.sum(axis=0) - sums) / rest
    variance = squares / count - mean**2 + UNEVENNESS
    variance_rest = (squares.sum(axis=0) - squares) / rest - mean_rest**2 + UNEVENNESS
    effect = np.where(enough, mean - mean_rest, 0)
    return (
        effect / np.sqrt(variance / count + variance_rest / rest),
        effect,
        np.where(enough, mean, 0),
        enough,
    )


def near(mask: Mask) -> Mask:
    """(N, H, W): the mask and its eight neighbours."""
    grown: Mask = maximum_filter(mask.view(np.uint8), (1, 3, 3)).view(bool)
    return grown


def against_surroundings(t: Floats, enough: Mask, threshold: float) -> Floats:
    """(K, H, W): t minus the median of its surroundings, in units of their spread, at least one. 0 where that can not
    exceed the threshold, which is nearly everywhere and saves nearly all of the time; and where too few of the
    surroundings say anything: beside padding, whatever is a picture would stand out."""
    window = (1, WINDOW, WINDOW)
    lowest, highest = (find(t, window, mode="mirror") for find in (minimum_filter, maximum_filter))
    surrounded = uniform_filter(enough.astype(float), (0, WINDOW, WINDOW), mode="mirror") >= SURROUNDED
    places = np.nonzero(surrounded & (np.maximum(t - lowest, highest - t) > threshold))
    unlike = t[places] - ranked(t, places, MEDIAN)
    clear = np.abs(unlike) > threshold
    places, unlike = tuple(axis[clear] for axis in places), unlike[clear]
    marked = np.zeros(t.shape, dtype=bool)
    marked[places] = True
    near_marked = np.nonzero(maximum_filter(marked, window, mode="mirror"))
    distance = np.zeros(t.shape)
    distance[near_marked] = np.abs(t[near_marked] - ranked(t, near_marked, MEDIAN))
    alone = np.zeros(t.shape)
    alone[places] = unlike / np.maximum(1.0, ranked(distance, places, UPPER_QUARTILE) / QUARTILE_OF_NORMAL)
    return alone


def ranked(values: Floats, places: Places, rank: int) -> Floats:
    """(M,) the value of that rank among the surroundings in (K, H, W) of each place, mirrored at the edges."""
    reach = WINDOW // 2
    wide = np.pad(values, ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (WINDOW, WINDOW), axis=(1, 2))
    found = np.empty(len(places[0]))
    for start in range(0, len(found), CHUNK_PLACES):
        chunk = np.s_[start : start + CHUNK_PLACES]
        around = windows[tuple(axis[chunk] for axis in places)].reshape(-1, WINDOW**2)
        around = np.delete(around, WINDOW**2 // 2, axis=1)
        found[chunk] = np.partition(around, rank, axis=1)[:, rank]
    return found

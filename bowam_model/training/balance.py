"""Which clips an epoch shows, in which of their readings.

Axis legend: N clips, V readings of each, M examples of an epoch.
"""

import numpy as np


def plan_epoch(
    labels_N: np.ndarray, readings: int, times: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Clips and readings of one epoch, shuffled: two arrays int64 (M,).

    With `times` 0 each clip is shown once, in a reading drawn at random. Otherwise every class that is there is shown
    `times` x the size of the smallest: all apexes first, then other readings, then all of them again; a class that is
    larger than that shows a part, drawn anew each epoch. The paper's authors take 5 readings and 5 times.
    """
    if not times:
        order = rng.permutation(len(labels_N))
        return order, rng.integers(0, readings, len(order))
    members = [np.flatnonzero(labels_N == label) for label in np.unique(labels_N)]
    total = times * min(map(len, members))
    clips, chosen = [], []
    for clip in members:
        others = rng.permutation(len(clip) * (readings - 1))
        # Pairs in the order in which they are used: apexes, shuffled, then all others, shuffled.
        pair_clip = np.concatenate([rng.permutation(clip), clip[others % len(clip)]])
        pair_reading = np.concatenate([np.zeros(len(clip), np.int64), 1 + others // len(clip)])
        used = np.arange(total) % len(pair_clip)
        clips.append(pair_clip[used])
        chosen.append(pair_reading[used])
    order = rng.permutation(total * len(members))
    return np.concatenate(clips)[order], np.concatenate(chosen)[order]

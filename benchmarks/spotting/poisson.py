"""How sure a count of false alarms is."""

import numpy as np


def poisson_bounds(count: int) -> tuple[float, float]:
    """95% interval of a Poisson mean (Garwood 1936), by bisection on the distribution."""

    def tail(mean: float, k: int) -> float:  # P(X <= k)
        steps = np.arange(k + 1)
        return float(np.exp(steps * np.log(max(mean, 1e-12)) - mean - np.cumsum(np.log(np.maximum(steps, 1)))).sum())

    def solve(k: int, wanted: float) -> float:
        low, high = 0.0, 10.0 * (k + 5)
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if tail(middle, k) > wanted else (low, middle)
        return low

    return (solve(count - 1, 0.975) if count else 0.0), solve(count, 0.025)

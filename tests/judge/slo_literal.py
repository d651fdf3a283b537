"""The SLO test of one series, written out term by term."""

import numpy as np
from scipy import stats


def inflation(phi, n):
    """Var(mean)·n/σ² of n values of an AR(1) process, as the double sum; n whole."""
    lags = np.arange(1, int(n))
    return 1.0 + 2.0 * np.sum((1.0 - lags / n) * phi**lags)


def mean_error(x, phi, kish):
    """Variance of the mean of x and its degrees of freedom."""
    n = len(x)
    slot = np.sum((x - x.mean()) ** 2) / (n - inflation(phi, n))
    return slot * inflation(phi, kish) / kish, slot, n * (1 - phi**2) / (1 + phi**2) - 1


def drift_p(reference, week, phi, v, bound):
    """p of the drift of the week's mean, with the week's own variance; and its standard error."""
    var_a, _, df_a = mean_error(reference, phi, len(reference))
    var_b, _, df_b = mean_error(week, phi, len(week))
    error = np.sqrt(var_a + var_b)
    welch = (var_a + var_b) ** 2 / (var_a**2 / df_a + var_b**2 / df_b)
    law = stats.t(1.0 / (1.0 / welch + 2.0 * v))
    size = abs(week.mean() - reference.mean())
    return law.cdf(-(size - bound) / error) + law.cdf(-(size + bound) / error), error


def level_p(week, phi, v, bound):
    """p of a level above its bound; and its standard error."""
    var, _, df = mean_error(week, phi, len(week))
    return stats.t(1.0 / (1.0 / df + 2.0 * v)).sf((week.mean() - bound) / np.sqrt(var)), np.sqrt(
        var
    )

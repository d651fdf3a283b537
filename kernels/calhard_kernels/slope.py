"""Linear trend of each series, its test under autocorrelation, and the forecast it allows.

Source: ordinary least squares; Bayley & Hammersley 1946 for the variance of the slope;
Box & Jenkins 1970 for the conditional AR(1) forecast.
"""

from __future__ import annotations

from dataclasses import dataclass

from calhard_kernels._array import Array, counts, namespace, row_dot, safe_divide
from calhard_kernels._array import zero_padding as zero
from calhard_kernels.effective import Correlation, effective_df, variance_inflation
from calhard_kernels.moments import Moments, anchor, lagged
from calhard_kernels.welch import Test, t_test


@dataclass(frozen=True, slots=True)
class Trend:
    """Least-squares line of each series; every field has shape (S,).

    The line is ``level + slope·(time − centre)``; time in whatever unit it was given.
    """

    n: Array
    level: Array
    slope: Array
    centre: Array
    time_squares: Array
    """Σ (time − centre)²."""
    residuals: Moments
    """Moments of the residuals (mean 0); S is the residual sum of squares."""
    total_squares: Array
    curvature: Array
    """Second derivative of the least-squares parabola, per time²."""
    last_residual: Array

    @property
    def r_squared(self) -> Array:
        """Share of the squares that the line explains; 0 for a constant series."""
        xp = namespace(self.n)
        share = 1.0 - safe_divide(self.residuals.squares, self.total_squares, otherwise=1.0)
        return xp.clip(share, 0.0, 1.0)


def trend(time: Array, x: Array, valid: Array | None = None) -> Trend:
    """Fit a line to each series.

    Parameters
    ----------
    time, x : float64, shape (S, W); finite everywhere, ``time`` increasing over valid slots
        One row of ``time`` will do where all series of a dense panel share it.
    valid : bool, shape (S, W), optional; one contiguous run in each row
    """
    xp = namespace(x)
    n = counts(x, valid)
    size = xp.maximum(n, 1.0 + 0.0 * n)
    centre = xp.sum(zero(time, valid), axis=1) / size
    t = zero(time - centre[: time.shape[0], None], valid)
    shift = anchor(x, valid)
    y = zero(x - shift[:, None], valid)
    mean = xp.sum(y, axis=1) / size
    y = zero(y - mean[:, None], valid)
    tt = xp.broadcast_to(row_dot(t, t), n.shape)
    slope = safe_divide(row_dot(t, y), tt)
    residual = y - slope[:, None] * t
    moments = Moments(n, 0.0 * n, 0.0 * n, row_dot(residual, residual), lagged(residual))
    return Trend(
        n,
        shift + mean,
        slope,
        centre,
        tt,
        moments,
        row_dot(y, y),
        _curvature(t, residual, tt, n, valid),
        _last(residual, valid),
    )


def _curvature(t: Array, residual: Array, tt: Array, n: Array, valid: Array | None) -> Array:
    """Twice the coefficient of the orthogonal quadratic 1, t, t² − Σt³/Σt²·t − Σt²/n."""
    xp = namespace(t)
    rows = t.shape[0]
    square = t * t
    skew = safe_divide(row_dot(square, t), tt[:rows])
    mean = tt / xp.maximum(n, 1.0 + 0.0 * n)
    q = zero(square - skew[:, None] * t - mean[:rows, None], valid)
    return 2.0 * safe_divide(row_dot(q, residual), xp.broadcast_to(row_dot(q, q), n.shape))


def _last(x: Array, valid: Array | None) -> Array:
    xp = namespace(x)
    if valid is None:
        return x[:, x.shape[1] - 1]
    begin = xp.argmax(xp.astype(valid, xp.int8), axis=1)
    length = xp.sum(xp.astype(valid, xp.int64), axis=1)
    end = xp.maximum(begin + length - 1, begin)
    return xp.take_along_axis(x, end[:, None], axis=1)[:, 0]


def slope_test(fit: Trend, correlation: Correlation) -> Test:
    """Return the t test of slope = 0 with the variance inflated as AR(1) errors demand.

    s² = S/(n − 2·VIF); Var(slope) = s²·VIF/Σ(t − t̄)²; 1/df = 1/d + 2v*, d less 2 fitted terms.
    """
    variance, df = _noise(fit, correlation)
    inflation = variance_inflation(correlation.phi, fit.n)
    return t_test(
        fit.slope,
        safe_divide(variance * inflation, fit.time_squares),
        1.0 / (1.0 / df + 2.0 * correlation.v),
    )


def _noise(fit: Trend, correlation: Correlation) -> tuple[Array, Array]:
    xp = namespace(fit.n)
    freedom = fit.n - 2.0 * variance_inflation(correlation.phi, fit.n)
    variance = fit.residuals.squares / xp.maximum(freedom, 1.0 + 0.0 * freedom)
    return variance, effective_df(correlation.phi, fit.n, fitted=2.0)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Predictive Student-t law of the mean of some future slots; each field of shape (S,)."""

    mean: Array
    sd: Array
    df: Array


def forecast(
    fit: Trend, correlation: Correlation, time: Array, ahead: Array, slots: Array
) -> Forecast:
    """Return the law of the mean over ``slots`` slots, the first of them ``ahead`` slots on.

    Parameters
    ----------
    time : float64, shape (S,)
        Centre of those slots, in the unit of the fit.
    ahead, slots : float64, shape (S,)
        Slots from the last observation to the first forecast one (≥ 1), and how many (≥ 1); rounded
        to whole slots (a fractional power of a negative φ is no number).

    Notes
    -----
    mean = level + slope·(time − centre) + c·e_n with c = φ^ahead (1 − φ^m)/(m(1 − φ));
    variance = s²(VIF_m/m − c²) + s²·VIF·(1/n + (time − centre)²/Σt²). One slot (m = 1) gives the
    textbook s²(1 − φ^{2h}) for the noise.
    """
    xp = namespace(fit.n)
    phi = correlation.phi
    variance, df = _noise(fit, correlation)
    ahead = xp.round(ahead)
    m = xp.maximum(xp.round(slots), 1.0 + 0.0 * slots)
    carried = phi**ahead * (1.0 - phi**m) / (m * (1.0 - phi))
    inflation = variance_inflation(phi, fit.n)
    distance = time - fit.centre
    noise = variance_inflation(phi, m) / m - carried**2
    line = inflation * (1.0 / xp.maximum(fit.n, m * 0.0 + 1.0))
    line = line + inflation * safe_divide(distance**2, fit.time_squares)
    mean = fit.level + fit.slope * distance + carried * fit.last_residual
    sd = xp.sqrt(variance * (xp.maximum(noise, 0.0 * noise) + line))
    return Forecast(mean, sd, 1.0 / (1.0 / df + 2.0 * correlation.v))

"""Student's t and chi-square by the incomplete beta function, on any array namespace."""

from __future__ import annotations

import numpy as np
from scipy.special import betainc

def student_t_p(t, df):
    square = t * t
    far = betainc(df / 2, 0.5, df / (df + square))
    near = 1.0 - betainc(0.5, df / 2, square / (df + square))
    return np.where(square < 1.0, near, far)

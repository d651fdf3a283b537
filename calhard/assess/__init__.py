"""From blocks of series to accumulators, one row per series; needs each series alone. Pure."""

"""Statistics of many series at once: arrays in, arrays out, by the namespace of the arrays."""

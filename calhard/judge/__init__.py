"""From accumulators and the fleet's sketch to evidence: p-values, verdicts, forecasts. Pure."""

"""The judged shards of a night, streamed: what the driver reads of them, and twice at most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calhard.judge.evidence import EvidenceBatch, FleetVerdict, decide, evidence_batch
from calhard.judge.ruling import Ruling
from calhard.pipeline.judging import Judged
from calhard.pipeline.shardfile import read_batches


@dataclass(frozen=True, slots=True)
class JudgedFleet:
    """The judged shards of a night and how to read them."""

    ruling: Ruling
    folder: Path
    shards: Sequence[Judged]
    factors: NDArray[np.float64]
    """Raw λ by metric, cadence and head."""

    def batches(self) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        """Yield (groups, judged) in evidence order."""
        for shard in self.shards:
            yield from zip(
                read_batches(self.folder / shard.groups_file),
                read_batches(self.folder / shard.judged_file),
                strict=True,
            )

    def decide(self) -> FleetVerdict:
        """Combine the heads of every series and control false discoveries over all of them."""
        judged = (batch for _, batch in self.batches())
        return decide(judged, self.factors, self.ruling.plan.regression)

    def evidence(self, verdict: FleetVerdict) -> Iterator[EvidenceBatch]:
        """Yield the evidence table batch by batch, with its candidates and group counts."""
        start = 0
        for groups, judged in self.batches():
            stop = start + judged.num_rows
            yield evidence_batch(groups, judged, verdict.part(start, stop), self.ruling)
            start = stop

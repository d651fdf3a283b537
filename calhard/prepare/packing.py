"""Which ranges make a part: about as many rows each, giants apart, old parts where they stand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

from calhard.history.ids import Ints
from calhard.prepare.keys import EARLIEST, Bounds
from calhard.prepare.labels import first_labels, split_labels
from calhard.prepare.manifest import Manifest
from calhard.prepare.sink import Part
from calhard.prepare.spill import Batches
from calhard.prepare.tasks import WriteTask

PART_ROWS = 2**20
"""Rows of a part, about."""
RANGE_ROWS = 2**18
"""Rows of a range, about: what is brought in order in memory."""
MOST_RANGES = 1_024
DRAWN = 128
"""Sampled keys of a range."""
LEAST = ("", "", EARLIEST)


def ranges_for(rows: int) -> int:
    """Return over how many ranges about so many rows are scattered."""
    return min(max(rows // RANGE_ROWS, 1), MOST_RANGES)


def parts_for(rows: int) -> int:
    """Return how many parts so many rows make."""
    return max(round(rows / PART_ROWS), 1)


def first_tasks(
    bounds: Bounds, rows: Ints, batches: Sequence[Batches], generation: int
) -> list[WriteTask]:
    """Return the tasks that write a folder anew."""
    packs = [p for p in _packed(bounds, rows) if rows[p.start : p.stop].sum()]
    counts = [parts_for(int(rows[p.start : p.stop].sum())) for p in packs]
    labels = first_labels(generation, counts)
    return [
        WriteTask(
            index,
            bounds.keys[pack.start - 1] if pack.start else LEAST,
            labels[index],
            tuple(batches[pack.start : pack.stop]),
            int(rows[pack.start : pack.stop].sum()),
        )
        for index, pack in enumerate(packs)
    ]


def _packed(bounds: Bounds, rows: Ints) -> Iterator[range]:
    """Runs of ranges that hold up to `PART_ROWS` rows; none reaches over a giant's end."""
    begin, held = 0, 0
    for place, count in enumerate(rows.tolist()):
        giant = place > 0 and bounds.keys[place - 1] in bounds.giants
        if place > begin and (giant or held + count > PART_ROWS):
            yield range(begin, place)
            begin, held = place, 0
        held += count
    yield range(begin, len(rows))


def further_tasks(
    before: Manifest,
    bounds: Bounds,
    rows: Ints,
    batches: Sequence[Batches],
    replaced: frozenset[int],
    narrow: Collection[str],
) -> list[WriteTask]:
    """Return the tasks that bring up to date the parts in whose ranges rows come or go.

    ``narrow`` are labels of parts whose columns get another type.
    """
    labels = sorted(before.parts)
    starts = [0, *(bounds.range_of(before.parts[label].low) for label in labels[1:])]
    tasks: list[WriteTask] = []
    for place, (begin, end) in enumerate(pairwise([*starts, bounds.ranges])):
        part = before.parts[labels[place]]
        new = int(rows[begin:end].sum())
        label = labels[place]
        if not new and label not in narrow and replaced.isdisjoint(part.origins):
            continue
        following = labels[place + 1] if place + 1 < len(labels) else None
        task = WriteTask(
            len(tasks),
            part.low if place else LEAST,
            split_labels(label, following, parts_for(part.rows + new)),
            tuple(b for b in batches[begin:end] if b),
            part.rows + new,
            label,
        )
        tasks.append(task)
    return tasks


def parts_after(
    before: Mapping[str, Part], tasks: Sequence[WriteTask], written: Sequence[Mapping[str, Part]]
) -> dict[str, Part]:
    """Return the parts of a folder once some tasks are done."""
    parts = dict(before)
    for task, new in zip(tasks, written, strict=True):
        if task.old is not None:
            parts.pop(task.old)
        parts |= new
    return parts

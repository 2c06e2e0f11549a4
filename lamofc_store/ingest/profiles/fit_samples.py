"""The samples that profiles are fitted on: enough of them, from all over the source."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice

from lamofc_store.errors import StoreError
from lamofc_store.ingest.items import Item, items_of
from lamofc_store.ingest.request import IngestOptions, attempts
from lamofc_store.sample import Sample
from lamofc_store.sources import Spreadable

MAX_FIT_BYTES = 1 << 30
"""Features held in memory while fitting."""
FIT_TOKENS, MAX_FIT_TOKENS = 32_768, 131_072
"""Tokens of the longest feature that are enough to fit on; of long sources, that are enough in any case."""
MIN_FIT_SAMPLES, MAX_FIT_SAMPLES = 64, 4096
"""Bounds on the number of samples where the user sets none."""
SAMPLE_SHARE = 16
"""A fit reads at least one sample in this number of a long source, up to `MAX_FIT_TOKENS`."""


def in_fit_order(source: Iterable[Sample]) -> Iterable[Sample]:
    """Return the samples spread over the whole source, where it can be read in another order."""
    return source.spread() if isinstance(source, Spreadable) else source


def items_to_fit(
    source: Iterable[Sample],
    options: IngestOptions,
    total: int | None = None,
    is_settled: Callable[[Item], bool] = lambda item: False,
) -> list[Item]:
    """Gather features without a profile from some samples of a source of `total`.

    If the first sample has no such feature, reading stops: a feature that appears later is fitted when it does.
    Samples that cannot be read are passed over unless errors stop the ingest.
    """
    from lamofc_codecs import CODECS

    gathered: list[Item] = []
    tokens: Counter[str] = Counter()
    sample_count = options.fit_samples or CODECS[options.codec].fit_samples
    for count, sample in enumerate(islice(_readable(source, options), sample_count or MAX_FIT_SAMPLES), 1):
        try:
            items = [item for item in items_of(sample, options) if not is_settled(item)]
        except StoreError:
            if options.on_error == "stop":
                raise
            continue
        gathered.extend(items)
        tokens.update({item.feature: len(item.tokens) for item in items})
        enough = _is_enough(count, max(tokens.values(), default=0), total or 0)
        size = sum(item.raw_bytes for item in gathered)
        if (enough and not sample_count) or not gathered or size > MAX_FIT_BYTES:
            break
    return gathered


def _readable(source: Iterable[Sample], options: IngestOptions) -> Iterable[Sample]:
    return (sample for sample in attempts(in_fit_order(source), options) if isinstance(sample, Sample))


def _is_enough(count: int, tokens: int, total: int) -> bool:
    """Whether a fit needs no more than these samples and tokens of their longest feature."""
    too_few = count < MIN_FIT_SAMPLES or tokens < FIT_TOKENS
    return not too_few and (count >= total // SAMPLE_SHARE or tokens >= MAX_FIT_TOKENS)

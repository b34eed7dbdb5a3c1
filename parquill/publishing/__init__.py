"""Publishing: collects a slice's results and writes them as a part file."""

from parquill.publishing.failure_counts import FailureCounts
from parquill.publishing.publisher import Publisher
from parquill.publishing.slice_results import SliceResults

__all__ = [
    "FailureCounts",
    "Publisher",
    "SliceResults",
]

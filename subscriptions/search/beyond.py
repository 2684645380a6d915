"""Which other resources a criterion looks at, beside the one that it is held against: see `chains`."""

import re

from subscriptions.search.chains import Chain, Reverse, Rosters
from subscriptions.search.comparison import Criterion, Meets
from subscriptions.search.extraction import Extraction

_TYPED = re.compile(r"([A-Z][A-Za-z]+)/.+")


def beyond(criterion: Criterion) -> frozenset[str]:
    """Their types. Whoever learns what meets the criterion learns something of these."""
    found = criterion.source.extraction
    named = _named(criterion) if isinstance(found, Rosters) else frozenset[str]()
    return named or _of(found)


def _of(found: Extraction) -> frozenset[str]:
    match found:
        case Chain():
            return frozenset().union(*({type_} | _of(end) for type_, end in found.ends))
        case Reverse():
            return _of(found.end) | {found.reference.resource_type}
        case Rosters():
            return found.targets
        case _:
            return frozenset()


def _named(criterion: Criterion) -> frozenset[str]:
    """The types of the rosters that are asked for; empty where some have none: `_in=Group/1`, `_in=1`."""
    keys = criterion.test.keys if isinstance(criterion.test, Meets) else frozenset({""})
    typed = [_TYPED.fullmatch(str(key)) for key in keys]
    return frozenset(each[1] for each in typed if each) if all(typed) else frozenset()

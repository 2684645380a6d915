"""What `/openapi.json` says of what operators watch: the overview, how busy it was, and what happens now."""

from hub.api.documentation.schemas import AT, FLAG, NUMBER, RATE, TEXT, Schema, about, listed, or_none, told, words
from hub.api.documentation.seen import ROW, VERSION
from hub.api.documentation.steered import ORIGIN
from hub.api.documented import Documented, parameter
from hub.api.needs import OPERATOR
from subscriptions.codes import SubscriptionStatus

_RATES: dict[str, Schema] = dict.fromkeys(("stored", "owed", "delivered", "attempts", "failed"), RATE)
_LATENCY: dict[str, Schema] = dict.fromkeys(("p50", "p95", "p99"), about(or_none(RATE), "ms; null without any"))
_BEHIND: dict[str, Schema] = {"behindSeconds": RATE, "unmatched": NUMBER}
_SUMMARY: dict[str, Schema] = {
    **{status.value: NUMBER for status in SubscriptionStatus},
    "lagging": about(NUMBER, "That have events that wait"),
    "undelivered": about(NUMBER, "Events that wait"),
    "dropped": NUMBER,
    "skipped": about(NUMBER, "Events ever that were passed by when a Subscription became active again"),
    "missed": about(NUMBER, "Of these, those that were not sent once more since"),
    "oldest": about(or_none(told(version=VERSION, id=TEXT, at=or_none(AT))), "Whose event has waited longest"),
}
POINT = told(_BEHIND, at=AT, **_RATES, **_LATENCY)
_TOTALS = ("stored", "matched", "owed", "delivered", "notifications", "attempts", "failed", "withheld", "dropped")
_HUBS: dict[str, Schema] = {
    "release": TEXT,
    "matching": told(
        **_BEHIND, partitions=listed(told(number=NUMBER, **_BEHIND, matcher=about(or_none(TEXT), "null: nobody")))
    ),
    "workers": listed(
        told({"partitions": listed(NUMBER)}, kind=words(("match", "deliver", "clock")), name=about(TEXT, "A process"))
    ),
    "leases": about(NUMBER, "Subscriptions that are being served"),
    "origins": listed(ORIGIN),
    "redis": told(
        version=TEXT,
        usedBytes=NUMBER,
        maxBytes=NUMBER,
        policy=TEXT,
        appendonly=FLAG,
        fsync=TEXT,
        volatile=about(or_none(TEXT), "What it may forget"),
        appendBytes=NUMBER,
    ),
    "transactions": NUMBER,
    "erasures": NUMBER,
    "declines": about(or_none(TEXT), "Why nothing more is stored for now"),
}
OVERVIEW = Documented(
    "Tell how all of it stands, and what is wrong; of the whole hub where the tenant is the default one",
    OPERATOR,
    {200: "At one look"},
    schema=told(
        _HUBS,
        at=AT,
        tenant=TEXT,
        rates=about(told(seconds=NUMBER, **_RATES), "A second, of the last ones"),
        latency=told(seconds=NUMBER, count=NUMBER, **_LATENCY),
        totals=told({"setAside": NUMBER}, **dict.fromkeys(_TOTALS, NUMBER)),
        subscriptions=told(**_SUMMARY, worst=listed(told(**ROW))),
        problems=listed(
            told(
                severity=words(("error", "warning")),
                text=TEXT,
                action=about(TEXT, "What to do"),
                link=about(TEXT, "Where in the console"),
                command=about(TEXT, "What does it, or shows more, from a shell; empty where none does"),
            )
        ),
    ),
)
HISTORY = Documented(
    "Tell how busy it was, ten seconds by ten seconds",
    OPERATOR,
    {200: "The oldest first"},
    takes=(parameter("minutes", "query", "Of how long ago", type="integer", minimum=1, maximum=360, default=60),),
    schema=told(step=about(NUMBER, "Seconds"), points=listed(POINT)),
)
LIVE = Documented(
    "Tell what happens as it happens: `event: figures` each second, and `event: step` of each step of each trip",
    OPERATOR,
    {200: "Server-Sent Events, for some minutes, or until the client may not: ask again then"},
    takes=(
        parameter("tail", "query", "Whether steps are told of", enum=["true", "false"]),
        parameter("seconds", "query", "For how long", type="integer", minimum=1, maximum=900, default=900),
    ),
    schema=told(
        event=words(("figures", "step")),
        data=about(TEXT, "JSON. Figures are a point as in the history, and `subscriptions` when they stand otherwise"),
    ),
    media_type="text/event-stream",
)

"""What `/openapi.json` says of what operators look up: topics, what was withheld, what matching costs, and why."""

from hub.api.documentation.schemas import AT, FLAG, NUMBER, RATE, TEXT, about, given, listed, or_none, told, words
from hub.api.documentation.seen import NEXT, REASONS, VERSION
from hub.api.documented import Documented, parameter
from hub.api.needs import OPERATOR
from subscriptions.codes import Interaction, SubscriptionStatus

TOPICS = Documented(
    "List the topics, and how many Subscriptions are on each",
    OPERATOR,
    {200: "All of them"},
    schema=told(
        topics=listed(
            told(
                url=TEXT,
                version=TEXT,
                title=TEXT,
                description=TEXT,
                purpose=TEXT,
                kind=words(("built-in", "published")),
                retired=about(FLAG, "Nobody may subscribe any more"),
                resourceTypes=listed(TEXT),
                filters=about(
                    or_none(
                        listed(
                            told(
                                resource=or_none(TEXT),
                                parameter=TEXT,
                                modifiers=listed(TEXT),
                                comparators=listed(TEXT),
                                description=TEXT,
                            )
                        )
                    ),
                    "null: whatever the hub can evaluate",
                ),
                subscriptions=told(**{status.value: NUMBER for status in SubscriptionStatus}),
            )
        )
    ),
)
WITHHELD = Documented(
    "List what was kept from subscribers, the newest first, and whose events were dropped or skipped",
    OPERATOR,
    {200: "A page of the former, and all of the latter"},
    takes=(
        parameter("count", "query", "Entries on a page", type="integer", minimum=1),
        parameter("page", "query", "Where a page begins, as `next` has it"),
    ),
    schema=told(
        entries=listed(
            told(
                at=AT,
                kind=about(words(("suppressed", "withheld")), "When it was matched, or when it was to be sent"),
                version=or_none(VERSION),
                id=about(or_none(TEXT), "Of the Subscription; null for another tenant's"),
                tenant=about(or_none(TEXT), "Whose the Subscription is; null for this one's"),
                event=or_none(NUMBER),
                resource=about(or_none(TEXT), "The version that was not told of"),
                reason=TEXT,
            )
        ),
        next=NEXT,
        lost=listed(
            told(
                version=VERSION,
                id=TEXT,
                kind=about(
                    words(("dropped", "skipped")), "Removed undelivered, or passed by when it became active again"
                ),
                events=about(NUMBER, "All of them, ever"),
                first=about(or_none(NUMBER), "Of the last such range"),
                last=or_none(NUMBER),
            )
        ),
    ),
)
INDEX = Documented(
    "Tell what matching costs: how many Subscriptions each change of a type is held against, and whose take longest",
    OPERATOR,
    {200: "Both"},
    schema=told(
        types=listed(told(version=VERSION, type=TEXT, scanned=NUMBER, topics=listed(told(topic=TEXT, scanned=NUMBER)))),
        criteria=listed(
            told(
                version=VERSION,
                id=TEXT,
                filters=listed(TEXT),
                microseconds=about(NUMBER, "Lately: what was spent fades away, by half in ten minutes"),
                share=about(RATE, "Of all that was spent on this tenant's"),
            )
        ),
    ),
)
EXPLAIN = Documented(
    "Explain why a change concerns a Subscription, or not",
    OPERATOR,
    {200: "Whether it does, and what each clause found"},
    body=given(
        ("subscription",),
        version=VERSION,
        subscription=about({"type": ["string", "object"]}, "The id of one that is here, or a resource"),
        resource={"type": "object"},
        previous={"type": "object"},
        interaction=words(Interaction),
        reference=about(TEXT, "Of a change that happened: `Immunization/1/_history/3`, instead of these three"),
    ),
    refusals=(404, 409),
    schema=told(**REASONS, remarks=about(listed(TEXT), "Why it may have been otherwise then")),
)

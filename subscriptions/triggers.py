"""Does a change fire a topic? By resource type and interaction: https://hl7.org/fhir/R5/subscriptiontopic.html."""

from dataclasses import dataclass

from subscriptions.change import Change
from subscriptions.topic import Topic


@dataclass(frozen=True, slots=True)
class Firing:
    """Whether a change fires a topic, and why, in words for whoever asks."""

    fired: bool
    reason: str


def fires(topic: Topic, change: Change) -> bool:
    """Whether one of the topic's triggers wants the change."""
    return any(
        trigger.resource == change.type and change.interaction in trigger.interactions for trigger in topic.triggers
    )


def firing(topic: Topic, change: Change) -> Firing:
    """`fires`, with the reason."""
    what = f"{change.interaction} of {change.type}"
    if fires(topic, change):
        return Firing(True, f"the topic has a trigger for {what}")
    wanted = "; ".join(f"{', '.join(sorted(trigger.interactions))} of {trigger.resource}" for trigger in topic.triggers)
    return Firing(False, f"the topic has no trigger for {what}, but for {wanted}")

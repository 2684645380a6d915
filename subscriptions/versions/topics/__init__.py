"""Topics as resources: SubscriptionTopic in R4B and R5, in R4 the Basic that stands for one."""

from subscriptions.versions.topics.reading import is_topic, read_topic
from subscriptions.versions.topics.rendering import topic_json

__all__ = ["is_topic", "read_topic", "topic_json"]

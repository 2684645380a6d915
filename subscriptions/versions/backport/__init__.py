"""
The Subscription of R4 and R4B: the Subscriptions R5 Backport IG's, and the one whose criteria are a search (`legacy`).

http://hl7.org/fhir/uv/subscriptions-backport (1.1.0)
"""

from subscriptions.versions.backport.subscription import read_interest, read_subscription

__all__ = ["read_interest", "read_subscription"]

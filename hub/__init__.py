"""The hub: gives the pure framework in `subscriptions` its Redis, its HTTP and its time."""

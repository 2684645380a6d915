"""How `hub publish` works: what is sent, how, and what is noted of it."""

"""One file per channel. A channel sends bytes and says what came of it; it decides nothing."""

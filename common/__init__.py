"""The leaf both apps stand on: clock, intents and relay, idempotency, events, base of problems."""

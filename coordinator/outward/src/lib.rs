//! What leaves to the outside world: events for a SIEM, messages for people.

"""One thin view per verb."""

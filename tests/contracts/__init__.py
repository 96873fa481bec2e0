"""Contract suites: what everything registered has to do."""

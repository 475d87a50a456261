"""A Braintrust that runs on this machine, for tests, demonstrations and benchmarks."""

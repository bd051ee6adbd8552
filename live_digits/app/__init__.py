"""App: the live loop, reading in batch, statistics, the doctor."""

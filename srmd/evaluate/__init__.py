"""Testing a network: pictures are degraded, restored and scored."""

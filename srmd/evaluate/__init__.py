"""What testing needs."""

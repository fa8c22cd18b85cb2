"""Networks in files: our own, other people's, and one network's weights in another."""

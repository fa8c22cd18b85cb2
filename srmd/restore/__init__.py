"""Restoring pictures of any size with a network."""

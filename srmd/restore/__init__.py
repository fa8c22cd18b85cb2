"""Pictures of any size through a network."""

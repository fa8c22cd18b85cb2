"""Picture files, maps and scores, and the built-in pictures."""

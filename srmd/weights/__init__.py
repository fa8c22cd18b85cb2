"""Weight files of this project and of others, checkpoints, and changes to the weights of a network."""

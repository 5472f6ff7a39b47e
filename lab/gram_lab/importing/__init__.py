"""Models of other projects: their checkpoints as model directories."""

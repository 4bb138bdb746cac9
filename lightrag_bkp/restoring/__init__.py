"""A snapshot brought back: staged beside its target, what is there kept, put in its place; or taken back."""

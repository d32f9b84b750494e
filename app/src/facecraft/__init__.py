"""A small portrait service that keeps the contract of a Facecraft image."""

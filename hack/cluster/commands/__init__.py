"""The commands of hack/: their options, and the order in which they do things."""

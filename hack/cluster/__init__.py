"""Brings up, runs and takes down the development cluster that hack/up and hack/test use."""

"""Tests of what can be tested without a cluster: hack/test tooling."""

"""The control that makes a measured run of an experiment."""

"""The control that turns an experiment into a measured run."""

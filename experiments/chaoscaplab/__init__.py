"""The lab's Chaos Toolkit extension: faults, clusters, probes, and the control that measures a run."""

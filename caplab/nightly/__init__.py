"""Unattended runs: what a pipeline or a CronJob does around `caplab run`, and how it reports the result."""

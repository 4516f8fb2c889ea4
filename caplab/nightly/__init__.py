"""Runs that nobody watches: what a pipeline or a CronJob does around `caplab run`, and how it says what came of it."""

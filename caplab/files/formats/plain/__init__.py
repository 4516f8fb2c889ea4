"""Histories of transactions that are as most programs write them, read many events at a time."""

"""The chart and its schemas: checks that several tests make of them."""

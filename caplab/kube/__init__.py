"""The way to the API server: which one (context), requests that end in time (bounded), watches (watcher)."""

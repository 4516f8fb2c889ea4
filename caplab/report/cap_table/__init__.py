"""The table of docs/cap-table.md: what each configuration promises beside what was measured."""

"""What there is to run and to read about: suites, experiments, rows, faults and checkers, listed and explained."""

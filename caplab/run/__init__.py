"""`caplab run`: what it refuses, plans, makes, resumes and removes."""

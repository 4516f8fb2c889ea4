"""Files: those that users write, histories, and the folders of results."""

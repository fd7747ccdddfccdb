"""A program of a user, whose types are checked as strictly as they can be."""

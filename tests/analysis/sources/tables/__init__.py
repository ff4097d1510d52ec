"""Values and attributes as the two tables have them."""

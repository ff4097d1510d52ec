"""The two tables that every source is read into, and the records that they are made of."""

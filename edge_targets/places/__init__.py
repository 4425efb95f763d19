"""What a place is, and the ways to reach one; the catalog's members are made of these."""

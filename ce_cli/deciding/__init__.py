"""Which column is what: names and a look at the first rows in, decisions out. No data is read here."""

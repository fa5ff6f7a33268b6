"""Gates: what a user demands of a report, parsed before any data is read and judged when the report is there."""

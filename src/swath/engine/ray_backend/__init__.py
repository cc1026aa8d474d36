"""The Ray engine. The only folder that imports ray."""

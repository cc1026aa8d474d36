"""What another stopping rule, number of seeds or number of workers would have cost and chosen, from stored curves."""

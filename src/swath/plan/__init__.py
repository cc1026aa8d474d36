"""What starting a sweep would do: cells, trials, problems, disk space; refits and the smoke variant. Loads no torch."""

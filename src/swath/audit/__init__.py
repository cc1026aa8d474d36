"""The audit of a task's data: duplicates, labels, images, and whether train and test are of one kind."""

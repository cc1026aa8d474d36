"""What a sweep leaves behind: trials, tasks, sweeps and leases, as objects in a folder or an object store."""

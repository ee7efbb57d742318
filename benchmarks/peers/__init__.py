"""One module for each library under comparison; each offers `Peer(workload)`, as `benchmarks.worker` describes it."""

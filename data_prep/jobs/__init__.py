"""One video, one shard: what runs in processes, on this machine or on many."""

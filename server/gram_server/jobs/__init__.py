"""Where jobs wait and results are kept: one interface, its stores, and the RPC to a worker."""

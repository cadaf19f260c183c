"""The benchmark suite: what the gateway costs, next to what others cost (docs/performance.md)."""

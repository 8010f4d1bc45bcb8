"""What a running node shows of itself: logs, health, metrics, the state of its peers."""

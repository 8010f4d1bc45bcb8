"""Generated from protos/ by scripts/proto. Do not edit."""

"""`mpcstats demo`: three institutions on this machine, real keys, real mutual TLS, real data."""

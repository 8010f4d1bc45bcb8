"""Looks at a party from the inside and at its way to every other party: what is wrong, whose fault it is, what next.

gRPC reports a missing, expired, wrong and revoked key all as UNAVAILABLE. So the way to a peer is walked step by step,
with plain sockets and TLS, and the first step that fails is named.

Codes: E1701 name does not resolve, E1702 connection refused, E1703 no answer to a connection, E1704 connected but
silent, E1705 no TLS there, E1706 another key, E1707 certificate expires or has expired, E1708 not valid yet, E1709 made
for another name, E1710 a key that was replaced (revoked), E1711 our key is not accepted, E1712 no node or another
protocol, E1713 another version of mpcstats, E1714 another roster, E1715 other analyses, E1716 clock, E1717 slow line,
E1718 proxy, E1721 party.toml, E1722 keys, E1723 own certificate, E1724 policy, E1725 roster, E1726 data set, E1727
port, E1728 disk, E1729 memory, E1730 entropy, E1731 limits of the system, E1732 state database.
"""

"""Who a party is: its keys, their passphrase, and that one node alone answers for it."""

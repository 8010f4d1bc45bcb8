"""What a data steward does with a data set: register it, take snapshots, draft and check its dictionary, publish it.

Everything in here reads a party's own files and writes into its own directory. Nothing is sent to anybody.
"""

"""Before a study is proposed: rehearsed on dummy records, planned from that, drafted at a party."""

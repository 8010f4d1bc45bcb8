"""A party's audit log, the heads that parties co-sign, who may read it, and the certificate of a run."""

"""Models that make vectors of texts, behind one port that devices and server share."""

"""What the network is measured against: support vector machines on plain features, Bi-WOOF, MDMO, STSTNet."""

"""The servers of this lab that are no packages: each speaks what the real clients ask, and names its own address."""

package client

// CutConnection closes the connection of a started process, as a crash of the host's program would.
func CutConnection(c *Cmd) { c.s.p.c.Close() }

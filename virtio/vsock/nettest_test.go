package vsock

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"
)

// TestNetConn holds Conn against the suite that package net's own connections pass.
func TestNetConn(t *testing.T) {
	for _, window := range []uint32{MinWindow, DefaultWindow} {
		l := backToBack(t, Config{Window: window})
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			v1, v2, err := pair(l.a, l.b, 1024)
			if err != nil {
				return nil, nil, nil, err
			}
			return v1, v2, func() { v1.Close(); v2.Close() }, nil
		})
	}
}

package vsock

import (
	"net"
	"strconv"
)

// HostCID is the context ID of the host, VMADDR_CID_HOST [VIRTIO §5.10.4].
const HostCID = 2

// Addr is an end of a connection: a context ID and a port.
type Addr struct {
	CID  uint64
	Port uint32
}

var _ net.Addr = Addr{}

// Network returns "vsock".
func (a Addr) Network() string { return "vsock" }

// String returns "cid:port".
func (a Addr) String() string {
	return strconv.FormatUint(a.CID, 10) + ":" + strconv.FormatUint(uint64(a.Port), 10)
}

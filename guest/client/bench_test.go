//go:build linux

package client_test

import (
	"io"
	"testing"
)

// BenchmarkExec is a process from start to end: one round trip of the protocol, and a fork.
func BenchmarkExec(b *testing.B) {
	c, _ := newClient(b)
	for b.Loop() {
		if err := c.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOutput is the throughput of standard output.
func BenchmarkOutput(b *testing.B) {
	c, _ := newClient(b)
	const chunk = 1 << 20
	cmd := c.Command("cat", "/dev/zero")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(chunk)
	for b.Loop() {
		if _, err := io.CopyN(io.Discard, out, chunk); err != nil {
			b.Fatal(err)
		}
	}
	out.Close()
	cmd.Wait() // SIGPIPE
}

//go:build linux

package client_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/husk-vm/husk/guest/agent"
	"github.com/husk-vm/husk/guest/client"
)

// The agent runs in a process of its own, as it does in a guest: this test binary, told by its environment. It serves a unix socket,
// whose streams behave as those of vsock do.
const socketVar = "HUSK_TEST_AGENT_SOCKET"

func TestMain(m *testing.M) {
	if name := os.Getenv(socketVar); name != "" {
		os.Exit(serve(name))
	}
	os.Exit(m.Run())
}

func serve(name string) int {
	os.Unsetenv(socketVar)
	ln, err := net.Listen("unix", name)
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	a, err := agent.New(nil)
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	os.Stdout.WriteString("ready\n")
	if err := a.Serve(ln); err != nil {
		return 1
	}
	return 0
}

// newClient starts an agent and returns a client of it, and the agent's process.
func newClient(t testing.TB) (*client.Client, *os.Process) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "s")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), socketVar+"="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that panics runs no Cleanup
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if stderr.Len() > 0 {
			t.Errorf("agent said: %s", &stderr) // a race report, for instance
		}
	})
	if _, err := out.Read(make([]byte, 64)); err != nil {
		t.Fatalf("agent: %v: %s", err, &stderr)
	}
	c := client.New(func(ctx context.Context, port uint32) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", name)
	})
	t.Cleanup(func() { c.Close() })
	return c, cmd.Process
}

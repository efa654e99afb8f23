package lab

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hostStubArg makes this binary a stub that runs its command on the host itself, for the emulator below.
const hostStubArg = "hoststub"

// clientArg makes this binary a client of a given session.
const clientArg = "client"

// clientSpec is its argument.
type clientSpec struct {
	Dir, Root, Self string
	Memory          int
}

func clientMain(arg string, args []string) int {
	var c clientSpec
	if err := decodeJSON([]byte(arg), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitLab
	}
	o := options{root: c.Root, self: c.Self, memoryMiB: c.Memory, idle: time.Minute, life: time.Minute, boot: time.Minute, args: args}
	code, err := runCommand(o, session{dir: c.Dir}, stdio{os.Stdin, os.Stdout, os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitLab
	}
	return code
}

// awaitArg makes this binary a command that says "ready", then which signal it got.
const awaitArg = "await"

func awaitSignal() int {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGUSR1)
	fmt.Println("ready")
	fmt.Println(<-c)
	return 3
}

// TestMain lets the test binary play every role: the lab runs os.Executable as its supervisor, as PID 1 of the outer
// machine and as a stub; and the tests below put it in QEMU's place.
func TestMain(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == qemuName:
		os.Exit(fakeQEMU(os.Args))
	case len(os.Args) == 2 && os.Args[1] == awaitArg:
		os.Exit(awaitSignal())
	case len(os.Args) == 2 && os.Args[1] == hostStubArg:
		os.Exit(runStub(func(*request) error { return nil }))
	case len(os.Args) >= 3 && os.Args[1] == clientArg:
		os.Exit(clientMain(os.Args[2], os.Args[3:]))
	case len(os.Args) == 2 && os.Args[1] == kvmArg:
		os.Exit(createVM())
	case os.Args[0] == "kvmlab" || os.Args[0] == initPath:
		os.Exit(Main(os.Args))
	}
	os.Exit(m.Run())
}

// fakeQEMU is the machine without the emulation: the same protocol on the same ports, the commands on this host.
// $KVMLAB_FAKE makes it misbehave.
func fakeQEMU(args []string) int {
	for i, a := range args {
		if file, ok := strings.CutPrefix(a, "file:"); ok && args[i-1] == "-serial" {
			if err := os.WriteFile(file, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600); err != nil {
				return 1
			}
		}
	}
	switch os.Getenv("KVMLAB_FAKE") {
	case "die":
		fmt.Fprintln(os.Stderr, "fake: no such machine")
		return 1
	case "hang":
		select {}
	}
	var wg sync.WaitGroup
	for i := range slots {
		wg.Go(func() {
			serveSlot(os.NewFile(uintptr(firstPortFD+i), "port"), func() *exec.Cmd {
				cmd := exec.Command("/proc/self/exe")
				cmd.Args = []string{"kvmlab", hostStubArg}
				return cmd
			})
		})
	}
	wg.Wait()
	return 0
}

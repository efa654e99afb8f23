package instance

import (
	"encoding/json"
	"time"
)

// Spec is what a person asked for, fully spelled out: no defaults are filled in later, paths are absolute.
type Spec struct {
	Name        string
	CPUs        int
	MemoryBytes uint64
	Backend     string // "" takes the best usable one
	// Kernel and Initrd are paths; "" means the built-in ones. NoInitrd boots without any.
	Kernel, Initrd string
	NoInitrd       bool
	// Cmdline is the whole kernel command line. "" lets the VM's process choose one that fits the devices.
	Cmdline string
	Disks   []DiskSpec
	Console ConsoleMode
	// ConsoleFile is where the console goes with ConsoleToFile.
	ConsoleFile string
	// Exec is the command to run in the guest; nil boots without one and waits for the guest to end.
	Exec *ExecSpec
	// Timeout ends the VM that long after its start. 0 is never.
	Timeout time.Duration
	// ReadyTimeout bounds the wait for the guest's agent. 0 is never.
	ReadyTimeout time.Duration
	// Reboot starts the guest again after a reset instead of ending.
	Reboot bool
	Debug  bool // log debug messages on standard error
}

// DiskSpec is one disk: a raw file or a block device.
type DiskSpec struct {
	Path     string
	ReadOnly bool
	Serial   string
}

// ConsoleMode says where the guest's console goes.
type ConsoleMode string

const (
	ConsoleOff      ConsoleMode = "off"    // kept in memory for error messages only
	ConsoleStdio    ConsoleMode = "stdio"  // standard input and output
	ConsoleToStderr ConsoleMode = "stderr" // output only
	ConsoleToFile   ConsoleMode = "file"   // output only, appended to ConsoleFile
)

// ExecSpec is a command in the guest.
type ExecSpec struct {
	Argv Args
	Env  Args   // "NAME=value", added to the guest's own environment
	Dir  string // "" is the guest's root directory
	User uint32 // numeric user and group
	TTY  bool   // give it a terminal of Cols by Rows characters
	Term string // value of TERM with TTY
	Cols uint16
	Rows uint16
	// HostProgram makes Argv[0] a file of the host, which is copied into the guest with HostDir, and run there.
	HostProgram bool
	HostDir     string // working directory on the host, whose testdata directory and files are copied too
}

// Args are strings that need not be text: Linux passes arguments as bytes, and JSON has text only.
type Args []string

// MarshalJSON encodes each string as base64.
func (a Args) MarshalJSON() ([]byte, error) {
	raw := make([][]byte, len(a))
	for i, s := range a {
		raw[i] = []byte(s)
	}
	return json.Marshal(raw)
}

// UnmarshalJSON decodes what MarshalJSON wrote.
func (a *Args) UnmarshalJSON(b []byte) error {
	var raw [][]byte
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*a = make(Args, len(raw))
	for i, p := range raw {
		(*a)[i] = string(p)
	}
	return nil
}

// Exit codes of `husk run`, beside the command's own. They follow what timeout(1), env(1) and container tools use.
const (
	ExitTimeout       = 124 // Spec.Timeout passed
	ExitFailure       = 125 // Husk or the guest failed: one line on standard error says why
	ExitNotExecutable = 126 // the guest found the command but could not run it
	ExitNotFound      = 127 // the guest found no such command
	ExitSignalBase    = 128 // 128+n: the command died of signal n
	ExitInterrupted   = 130 // Ctrl-C before the command ran
)

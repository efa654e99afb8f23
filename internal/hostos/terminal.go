package hostos

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
)

// Terminal modes. A terminal's state is bytes to callers, so that it can be sent to another process, which restores it
// should this one die.

// IsTerminal reports whether f is a terminal. A nil f is none.
func IsTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	_, err := terminalState(f)
	return err == nil
}

// MakeRaw puts the terminal f into raw mode: every key is a byte at once, nothing is echoed, no key is a signal. It
// returns the state before, for RestoreTerminal.
func MakeRaw(f *os.File) (saved []byte, err error) {
	state, err := terminalState(f)
	if err != nil {
		return nil, fmt.Errorf("terminal %s: %w", f.Name(), err)
	}
	var b bytes.Buffer
	if err := binary.Write(&b, binary.NativeEndian, state); err != nil { // a fixed-size struct
		return nil, fmt.Errorf("terminal %s: %w", f.Name(), err)
	}
	rawState(state)
	if err := setTerminalState(f, state); err != nil {
		return nil, fmt.Errorf("terminal %s: %w", f.Name(), err)
	}
	return b.Bytes(), nil
}

// RestoreTerminal puts back what MakeRaw returned, in this or in another process.
func RestoreTerminal(f *os.File, saved []byte) error {
	state, err := terminalState(f)
	if err == nil {
		err = binary.Read(bytes.NewReader(saved), binary.NativeEndian, state)
	}
	if err == nil {
		err = setTerminalState(f, state)
	}
	if err != nil {
		return fmt.Errorf("restore terminal %s: %w", f.Name(), err)
	}
	return nil
}

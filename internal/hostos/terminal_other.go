//go:build !linux && !darwin

package hostos

import (
	"errors"
	"os"
)

// termios stands for a terminal's state where none can be had.
type termios struct{}

func terminalState(*os.File) (*termios, error)  { return nil, errors.ErrUnsupported }
func setTerminalState(*os.File, *termios) error { return errors.ErrUnsupported }
func rawState(*termios)                         {}

// TerminalSize returns the size of the terminal f in characters. It is not known on this system.
func TerminalSize(*os.File) (cols, rows uint16, err error) { return 0, 0, errors.ErrUnsupported }

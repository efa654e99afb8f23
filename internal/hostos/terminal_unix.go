//go:build linux || darwin

package hostos

import (
	"os"

	"golang.org/x/sys/unix"
)

func terminalState(f *os.File) (state *unix.Termios, err error) {
	err = control(f, func(fd int) error {
		state, err = unix.IoctlGetTermios(fd, getTermios)
		return err
	})
	return state, err
}

func setTerminalState(f *os.File, state *unix.Termios) error {
	return control(f, func(fd int) error { return unix.IoctlSetTermios(fd, setTermios, state) })
}

// rawState is what cfmakeraw(3) does.
func rawState(t *unix.Termios) {
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag &^= unix.CSIZE | unix.PARENB
	t.Cflag |= unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
}

// TerminalSize returns the size of the terminal f in characters.
func TerminalSize(f *os.File) (cols, rows uint16, err error) {
	err = control(f, func(fd int) error {
		ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		if err == nil {
			cols, rows = ws.Col, ws.Row
		}
		return err
	})
	return cols, rows, err
}

package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"

	"github.com/husk-vm/husk/guest/proto"
)

// Error is a refusal by the agent. It is fs.ErrNotExist, fs.ErrPermission or fs.ErrExist to errors.Is where it means that, and
// exec.ErrNotFound where a program was not found.
type Error struct {
	Op    string // "exec", "put"…
	Name  string // of the program or file; may be empty
	Errno uint32 // Linux errno, or 0
	Text  string // the agent's words, printable

	code proto.Code
}

// Error implements error.
func (e *Error) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("guest %s: %s", e.Op, e.Text)
	}
	return fmt.Sprintf("guest %s %s: %s", e.Op, e.Name, e.Text)
}

// Is implements what errors.Is asks for.
func (e *Error) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e.code == proto.CodeNotFound
	case exec.ErrNotFound:
		return e.code == proto.CodeNotFound && e.Op == "exec"
	case fs.ErrPermission:
		return e.code == proto.CodePermission
	case fs.ErrExist:
		return e.code == proto.CodeExists
	}
	return false
}

// wrap says what was being done, in the guest, when err happened.
func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	if pe, ok := errors.AsType[*proto.Error](err); ok {
		return &Error{Op: op, Name: name, Errno: pe.Errno, Text: printable(pe.Text), code: pe.Code}
	}
	if name == "" {
		return fmt.Errorf("guest %s: %w", op, err)
	}
	return fmt.Errorf("guest %s %s: %w", op, name, err)
}

// printable keeps a guest from writing to the terminal that shows its words.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// ExitError is an unsuccessful exit of a process.
type ExitError struct {
	*ProcessState
	Stderr []byte // the end of standard error, if Output ran the command and nobody else took it
}

// Error implements error.
func (e *ExitError) Error() string { return e.ProcessState.String() }

// ExitCode is the status with which a shell, or a program that stands for the command, would exit: 0 for nil, the process's
// own status, 128 + signal, 127 if the program was not found, 126 if it could not be executed, 125 for all else.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*ExitError](err); ok {
		if e.Signal() != 0 {
			return 128 + int(e.Signal())
		}
		return e.ExitCode()
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Op == "exec" {
		if e.code == proto.CodeNotFound {
			return 127
		}
		return 126
	}
	return 125
}

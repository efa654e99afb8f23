package shim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/husk-vm/husk/internal/instance"
)

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"vmm: machine: 0 CPUs: at least 1 is needed": "0 CPUs: at least 1 is needed",
		"linux: kernel: truncated":                   "kernel: truncated",
		"disk: open /x: no such file":                "disk: open /x: no such file",
		"no colon":                                   "no colon",
	} {
		if got := plain(errors.New(in)); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestVerdict(t *testing.T) {
	cancelled := func(cause error) context.Context {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		return ctx
	}
	for _, tt := range []struct {
		name string
		ctx  context.Context
		err  error
		code int // of the command
		want int
		text string
	}{
		{"command succeeded", context.Background(), nil, 0, 0, ""},
		{"command failed", context.Background(), nil, 7, 7, ""},
		{"husk failed", context.Background(), errors.New("vmm: no"), 0, instance.ExitFailure, "no"},
		{"no such command", context.Background(), &codeError{instance.ExitNotFound, errors.New("x: not found")}, 0, instance.ExitNotFound, "not found"},
		{"stopped", cancelled(errStopped), context.Canceled, 0, instance.ExitInterrupted, ""},
		{"escape key", context.Background(), fmt.Errorf("wait: %w", errStopped), 0, instance.ExitInterrupted, ""},
		{"orphaned", cancelled(errOrphaned), context.Canceled, 0, instance.ExitInterrupted, ""},
		{"timed out", cancelled(errTimeout), context.Canceled, 0, instance.ExitTimeout, "timed out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &runner{code: tt.code}
			got := r.verdict(tt.ctx, tt.err)
			if got.Code != tt.want || !strings.Contains(got.Message, tt.text) || tt.text == "" && got.Message != "" {
				t.Errorf("got %+v, want code %d with %q", got, tt.want, tt.text)
			}
		})
	}
}

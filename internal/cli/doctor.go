package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/husk-vm/husk/internal/instance"
	urfave "github.com/urfave/cli/v2"
)

// probeTimeout is far more than all probes together take.
const probeTimeout = 30 * time.Second

func doctorCommand(env Env) *urfave.Command {
	return &urfave.Command{
		Name:  "doctor",
		Usage: "say which hypervisors work here, how fast, and what to do about the others",
		Description: "Measures every back end that exists for this system and prints one paragraph each.\n" +
			"Exit code 0 if at least one is usable, 1 if none is.",
		HideHelpCommand: true,
		Action: func(c *urfave.Context) error {
			if c.Args().Present() {
				return usageErrorf("doctor takes no arguments")
			}
			backends, err := probe(c.Context, env)
			if err != nil {
				return &exitError{instance.ExitFailure, err}
			}
			if !printBackends(env.Stdout, backends) {
				return &exitError{code: 1}
			}
			return nil
		},
	}
}

// probe measures in a child, where a hypervisor's failure does no harm.
func probe(ctx context.Context, env Env) ([]instance.Backend, error) {
	p, err := startVMProcess(Env{Stderr: env.Stderr})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { p.sock.Close() })
	defer stop()
	var reply instance.Reply
	err = p.link.Send(instance.Request{Probe: true})
	if err == nil {
		err = p.link.Receive(&reply)
	}
	if waitErr := p.close(); waitErr != nil {
		err = waitErr
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("measure back ends: %w", err)
	}
	return reply.Probe, nil
}

// printBackends reports whether one of them is usable.
func printBackends(w io.Writer, backends []instance.Backend) bool {
	usable := false
	for i, b := range backends {
		if i > 0 {
			fmt.Fprintln(w)
		}
		word := "not usable"
		if b.Usable {
			word = "usable"
			if !usable {
				word = "usable, used by default"
			}
			usable = true
		}
		fmt.Fprintf(w, "%-6s %s\n", b.Name, word)
		for _, line := range []struct{ name, text string }{
			{"why", b.Reason},
			{"do", b.Advice},
			{"speed", rates(b)},
			{"facts", strings.Join(b.Details, ", ")},
		} {
			if line.text != "" {
				fmt.Fprintf(w, "       %-6s %s\n", line.name+":", line.text)
			}
		}
	}
	if len(backends) == 0 {
		fmt.Fprintln(w, "No back end exists for this operating system yet.")
	}
	return usable
}

func rates(b instance.Backend) string {
	if b.KernelRate == 0 {
		return ""
	}
	return fmt.Sprintf("%s instructions a second in guest kernel mode, %s in user mode; a VM with one CPU is made in %.1f ms",
		million(b.KernelRate), million(b.UserRate), b.SetupSeconds*1000)
}

func million(rate float64) string {
	if rate < 10e6 {
		return fmt.Sprintf("%.1f million", rate/1e6)
	}
	return fmt.Sprintf("%.0f million", rate/1e6)
}

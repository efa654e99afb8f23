package shim

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/husk-vm/husk/internal/hostos"
	"github.com/husk-vm/husk/internal/instance"
	"github.com/husk-vm/husk/vmm"
)

// Main is `husk vm`: args are those after the sub-command. It returns the process's exit code, which matters to nobody:
// what happened goes over the control socket.
func Main(args []string) int {
	flags := flag.NewFlagSet("husk vm", flag.ContinueOnError)
	fd := flags.Int("control", -1, "inherited control socket")
	if err := flags.Parse(args); err != nil || *fd < 3 || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "husk vm: started by other husk commands, not by people: see husk --help")
		return instance.ExitFailure
	}
	ignoreSignals()
	sock, err := hostos.InheritedFile(*fd, "control")
	if err != nil {
		fmt.Fprintln(os.Stderr, "husk vm: control socket:", err)
		return instance.ExitFailure
	}
	defer sock.Close()
	link := instance.NewLink(sock)
	var req instance.Request
	if err := link.Receive(&req); err != nil {
		return instance.ExitFailure
	}
	switch {
	case req.Probe:
		err = link.Send(instance.Reply{Probe: probe()})
	case req.Run != nil:
		exit := run(link, *req.Run)
		err = link.Send(instance.Reply{Exit: &exit})
	default:
		err = errors.New("first request is neither Run nor Probe")
	}
	if err != nil {
		return instance.ExitFailure
	}
	return 0
}

func probe() []instance.Backend {
	var out []instance.Backend
	for _, b := range vmm.Backends(context.Background()) {
		out = append(out, instance.Backend{
			Name: b.Name, Usable: b.Usable, Reason: b.Reason, Advice: b.Advice,
			KernelRate: b.KernelRate, UserRate: b.UserRate, SetupSeconds: b.Setup.Seconds(), Details: b.Details,
		})
	}
	return out
}

// errStopped is the cause of a run that its user ended; errTimeout of one that took too long; errOrphaned of one whose
// husk is gone.
var (
	errStopped  = errors.New("stopped")
	errTimeout  = errors.New("timed out")
	errOrphaned = errors.New("husk is gone")
)

// maxThreads bounds what a Spec that no machine can be built for costs before it is refused.
const maxThreads = 256

// run runs one VM to its end.
func run(link *instance.Link, req instance.RunRequest) instance.Exit {
	spec := req.Spec
	// Room for the vCPUs' and queue workers' threads beside everything else; see vmm's package comment.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), min(spec.CPUs, maxThreads)+2+2*len(spec.Disks)))
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	if spec.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, spec.Timeout, errTimeout)
		defer stop()
	}
	r := &runner{spec: spec, link: link, log: logger(spec), requests: make(chan instance.Request, 16)}
	ended := make(chan struct{})
	defer close(ended)
	go r.receive(cancel, ended, req.Terminal)
	err := r.run(ctx)
	return r.verdict(ctx, err)
}

func logger(spec instance.Spec) *slog.Logger {
	if !spec.Debug {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// receive takes the requests of a run until the control socket ends. If it ends while the run lasts, husk is gone: the
// VM goes too, and the terminal is put back as it was.
func (r *runner) receive(cancel context.CancelCauseFunc, ended <-chan struct{}, terminal []byte) {
	for {
		var req instance.Request
		err := r.link.Receive(&req)
		if err != nil {
			select {
			case <-ended:
				return
			default:
			}
			if len(terminal) > 0 {
				_ = hostos.RestoreTerminal(os.Stdin, terminal)
			}
			if !errors.Is(err, io.EOF) {
				r.log.Warn("control socket", "err", err)
			}
			cancel(errOrphaned)
			return
		}
		if req.Stop {
			cancel(errStopped)
			continue
		}
		// Nobody listens while the guest boots, and a Stop may be next: what finds no room is dropped.
		select {
		case r.requests <- req:
		default:
		}
	}
}

// verdict turns the end of a run into an exit code and words for a person.
func (r *runner) verdict(ctx context.Context, err error) instance.Exit {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errTimeout):
		return instance.Exit{Code: instance.ExitTimeout, Message: fmt.Sprintf("timed out after %v%s", r.spec.Timeout, r.whereabouts())}
	case errors.Is(err, errStopped) || errors.Is(cause, errStopped) || errors.Is(cause, errOrphaned):
		return instance.Exit{Code: instance.ExitInterrupted}
	case err == nil:
		return instance.Exit{Code: r.code}
	}
	var coded *codeError
	if errors.As(err, &coded) {
		return instance.Exit{Code: coded.code, Message: coded.Error()}
	}
	return instance.Exit{Code: instance.ExitFailure, Message: plain(err)}
}

// plain is err's text for a person at a terminal, who does not care which package speaks first.
func plain(err error) string {
	text := err.Error()
	for {
		room, rest, ok := strings.Cut(text, ": ")
		if !ok || !slices.Contains([]string{"vmm", "machine", "linux", "guestmem", "kvm"}, room) {
			return text
		}
		text = rest
	}
}

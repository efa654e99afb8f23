package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/husk-vm/husk/disk"
	"github.com/husk-vm/husk/internal/guestvm"
	"github.com/husk-vm/husk/internal/hostos"
	"github.com/husk-vm/husk/internal/instance"
	"github.com/husk-vm/husk/vmm"
)

// runner is one run inside `husk vm`.
type runner struct {
	spec     instance.Spec
	link     *instance.Link
	log      *slog.Logger
	requests chan instance.Request

	guest *guestvm.Guest // nil until the VM is built
	code  int            // the command's exit code
}

// run builds and starts the VM and waits for the command, or for the guest's end if there is none.
func (r *runner) run(ctx context.Context) (err error) {
	cfg, files, err := r.config(ctx)
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	if err != nil {
		return err
	}
	g, err := guestvm.New(ctx, cfg)
	if err != nil {
		return err
	}
	r.guest = g
	defer g.Close()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	r.log.Debug("starting", "backend", g.Backend())
	if err := g.Start(ctx); err != nil {
		return err
	}
	if r.spec.Exec == nil {
		return r.waitGuest(ctx)
	}
	r.progress("booting the guest")
	if err := g.Ready(ctx, r.spec.ReadyTimeout); err != nil {
		return err
	}
	return r.exec(ctx)
}

// release gives back memory that only the start needed: the kernel and the initrd inside this program are in the guest
// now, and most of the code that has run will not run again. A garbage collection gains nothing here: the heap is small,
// and the collector's own tables grow as much as it shrinks.
func (r *runner) release() {
	if err := hostos.ReleaseProgram(); err != nil {
		r.log.Debug("memory of the program", "err", err)
	}
}

// config turns the Spec into a VM, and opens what it names. The files are the caller's to close, in any case.
func (r *runner) config(ctx context.Context) (cfg guestvm.Config, files []io.Closer, err error) {
	cfg = guestvm.Config{
		VM: vmm.Config{
			Name: r.spec.Name, CPUs: r.spec.CPUs, MemoryBytes: r.spec.MemoryBytes, Backend: r.spec.Backend, Log: r.log,
		},
		NoInitrd: r.spec.NoInitrd, Cmdline: r.spec.Cmdline, Verbose: r.spec.Console != instance.ConsoleOff, Progress: r.progress,
	}
	if r.spec.Reboot {
		cfg.VM.Reboot = vmm.RebootRestarts
	}
	for _, f := range []struct {
		what, path string
		to         *vmm.Source
	}{{"kernel", r.spec.Kernel, &cfg.Kernel}, {"initrd", r.spec.Initrd, &cfg.Initrd}} {
		if f.path == "" {
			continue
		}
		src, err := openSource(f.path)
		if err != nil {
			return cfg, files, fmt.Errorf("%s: %w", f.what, err)
		}
		files = append(files, src)
		*f.to = src
	}
	for _, d := range r.spec.Disks {
		var flags disk.Flags
		if d.ReadOnly {
			flags |= disk.ReadOnly
		}
		img, err := disk.OpenRaw(d.Path, flags)
		if err != nil {
			return cfg, files, err
		}
		files = append(files, img)
		cfg.VM.Disks = append(cfg.VM.Disks, vmm.Disk{Backend: img, ReadOnly: d.ReadOnly, Serial: d.Serial})
	}
	closer, err := r.console(ctx, &cfg)
	if closer != nil {
		files = append(files, closer)
	}
	return cfg, files, err
}

// console connects the guest's console.
func (r *runner) console(_ context.Context, cfg *guestvm.Config) (io.Closer, error) {
	switch r.spec.Console {
	case instance.ConsoleStdio:
		cfg.ConsoleOut = os.Stdout
		cfg.ConsoleIn = &escapeReader{r: os.Stdin, escaped: func() {
			select {
			case r.requests <- instance.Request{Signal: escapeSignal}:
			default:
			}
		}}
	case instance.ConsoleToStderr:
		cfg.ConsoleOut = os.Stderr
	case instance.ConsoleToFile:
		f, err := os.OpenFile(r.spec.ConsoleFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		cfg.ConsoleOut = f
		return f, nil
	}
	return nil, nil
}

// waitGuest waits for the end of a guest that runs no command of ours.
func (r *runner) waitGuest(ctx context.Context) error {
	r.running()
	r.release()
	for {
		select {
		case req := <-r.requests:
			if req.Signal != 0 {
				return errStopped // Ctrl-] or, without a terminal, Ctrl-C
			}
		case <-r.guest.Done():
			exit, err := r.guest.Wait(ctx)
			if err == nil && (exit.Reason == vmm.Shutdown || exit.Reason == vmm.Reset) {
				return nil
			}
			return r.guest.Ended()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// source is an open file with its size when it was opened.
type source struct {
	*os.File
	size int64
}

func (s source) Size() int64 { return s.size }

func openSource(path string) (source, error) {
	f, err := os.Open(path)
	if err != nil {
		return source{}, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", path)
	}
	if err != nil {
		f.Close()
		return source{}, err
	}
	return source{f, st.Size()}, nil
}

// progress tells husk what is going on; running, that the command was started.
func (r *runner) progress(text string) { _ = r.link.Send(instance.Reply{Progress: text}) }
func (r *runner) running()             { _ = r.link.Send(instance.Reply{Running: true}) }

// whereabouts says what a run was waiting for.
func (r *runner) whereabouts() string {
	switch {
	case r.guest == nil:
		return ": the virtual machine was not built yet"
	case r.spec.Exec != nil && r.guest.Stage() < vmm.StageVsock:
		return "; " + r.guest.Explain(fmt.Errorf("the guest reached: %v", r.guest.Stage())).Error()
	}
	return ""
}

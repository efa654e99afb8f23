package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/husk-vm/husk/internal/hostos"
	"github.com/husk-vm/husk/internal/instance"
)

const defaultReadyTimeout = 2 * time.Minute

// terminal is standard input's terminal, raw while a guest has it.
type terminal struct {
	file  *os.File
	saved []byte // state before; nil if nothing was changed
	once  sync.Once
}

// openTerminal makes standard input raw if spec hands it to the guest as a terminal.
func openTerminal(env Env, spec instance.Spec) (*terminal, error) {
	t := &terminal{file: env.Stdin}
	wants := spec.Exec != nil && spec.Exec.TTY || spec.Exec == nil && spec.Console == instance.ConsoleStdio
	if !wants || !hostos.IsTerminal(env.Stdin) {
		return t, nil
	}
	saved, err := hostos.MakeRaw(env.Stdin)
	if err != nil {
		return nil, fmt.Errorf("set terminal: %w", err)
	}
	t.saved = saved
	return t, nil
}

// restore puts the terminal back as it was. It may be called twice.
func (t *terminal) restore() {
	t.once.Do(func() {
		if t.saved != nil {
			_ = hostos.RestoreTerminal(t.file, t.saved) // the terminal may be gone
		}
	})
}

// progress shows what takes long. Only a person at a terminal sees it, and only after a second.
type progress struct {
	out   io.Writer // nil: nobody to show it to
	mu    sync.Mutex
	text  string      // guarded by mu
	shown bool        // guarded by mu
	timer *time.Timer // guarded by mu
}

func newProgress(env Env, spec instance.Spec) *progress {
	p := &progress{}
	if hostos.IsTerminal(env.Stderr) && spec.Console != instance.ConsoleStdio && spec.Console != instance.ConsoleToStderr {
		p.out = env.Stderr
	}
	return p
}

// say sets what is going on now.
func (p *progress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = text
	if p.shown {
		p.print()
	} else if p.timer == nil && p.out != nil {
		p.timer = time.AfterFunc(time.Second, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.timer != nil {
				p.shown = true
				p.print()
			}
		})
	}
}

// print overwrites the line. The terminal may be raw: carriage returns are spelled out.
func (p *progress) print() { fmt.Fprintf(p.out, "\r\x1b[Khusk: %s ...", p.text) }

// done clears the line, for good.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if p.shown {
		p.shown = false
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	p.out = nil
}

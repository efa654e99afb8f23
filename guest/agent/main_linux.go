package agent

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/husk-vm/husk/guest/proto"
)

// buttonGrace is what processes get to end in when nobody says how much: the power button and signals.
const buttonGrace = 5000 // milliseconds

// Main is the agent's program. As process 1 it is the guest's init and does not return; otherwise it is a service
// that serves the host's processes and returns an exit status.
func Main() int {
	if os.Getpid() != 1 {
		return service()
	}
	boot()
	return 1
}

// service serves without the duties of process 1.
func service() int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	a, err := New(log)
	if err != nil {
		log.Error("start", "err", err)
		return 1
	}
	ln, err := listenVsock(proto.AgentPort)
	if err != nil {
		log.Error("start", "err", err)
		return 1
	}
	go a.announce()
	if err := a.Serve(ln); err != nil {
		log.Error("serve", "err", err)
	}
	return 1
}

// askInit asks process 1 to end the guest, in the signals of systemd [systemd(1), "Signals"].
func askInit(m proto.Shutdown) error {
	sig := map[proto.ShutdownKind]unix.Signal{
		proto.PowerOff: unix.Signal(sigRTMin + 4), proto.Reboot: unix.Signal(sigRTMin + 5), proto.Halt: unix.Signal(sigRTMin + 3),
	}[m.Kind]
	return unix.Kill(1, sig)
}

// sigRTMin is the C library's SIGRTMIN: it keeps the kernel's 32 and 33 for itself.
const sigRTMin = 34

// boot is process 1. What the host waits for comes first: the agent listens while file systems are being mounted, and
// a process that is asked for meanwhile waits for those; "ready" is said when they are there and the power button is watched.
func boot() {
	params, log := firstSteps()
	loadListed(log)
	ps := newProcesses(true)
	l := &linux{ps: ps, log: log, end: func(m proto.Shutdown) error { return powerDown(ps, log, m) }}
	ready := make(chan struct{})
	a := newAgent(l, log, defaultEnv(), ready)
	sigs := make(chan os.Signal, 16) // SIGCHLD says "look": one that does not fit is not missed
	signal.Notify(sigs, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPWR)
	go serveVsock(a)
	if err := mountAll(kernel{}, mounts[1:]); err != nil {
		log.Error("boot", "err", err)
	}
	// The button comes before "ready": the kernel drops a press that nobody reads, and a host that was told of a guest
	// may press at once.
	watchPower(log, func(key uint16) {
		if key == keyRestart {
			a.shutdown(proto.Shutdown{Kind: proto.Reboot, Grace: buttonGrace})
			return
		}
		a.shutdown(proto.Shutdown{Kind: proto.PowerOff, Grace: buttonGrace})
	})
	close(ready)
	log.Debug("file systems mounted", "uptime", uptime())
	settle(params, log)
	if params.shell {
		go consoleShell(l, log, a.env)
	}
	log.Debug("up", "uptime", uptime())
	for s := range sigs {
		if s == syscall.SIGCHLD {
			ps.reap()
			continue
		}
		go a.shutdown(proto.Shutdown{Kind: signalKind(s), Grace: buttonGrace})
	}
}

// signalKind is how process 1 takes a signal: as busybox's init does, whose poweroff, reboot and halt are in many a script.
func signalKind(s os.Signal) proto.ShutdownKind {
	switch s {
	case syscall.SIGINT, syscall.SIGTERM: // Ctrl-Alt-Del; reboot
		return proto.Reboot
	case syscall.SIGUSR1:
		return proto.Halt
	}
	return proto.PowerOff // SIGUSR2; SIGPWR, the power fails
}

// firstSteps makes a log and reads the command line, which needs /proc.
func firstSteps() (bootParams, *slog.Logger) {
	k := kernel{}
	err := k.mkdir(mounts[0].at)
	if err == nil {
		err = k.mount(mounts[0])
	}
	line, rerr := os.ReadFile("/proc/cmdline")
	params := parseCmdline(string(line))
	level := slog.LevelWarn
	if params.debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("prog", "husk-agent")
	if err != nil || rerr != nil {
		log.Error("mount /proc", "err", err, "cmdline", rerr)
	}
	log.Debug("started", "uptime", uptime())
	return params, log
}

// serveVsock listens for the host and tells it so.
func serveVsock(a *Agent) {
	ln, err := listenVsock(proto.AgentPort)
	if err != nil {
		a.log.Error("no connection to the host", "err", err)
		return
	}
	a.log.Debug("listening", "port", proto.AgentPort, "uptime", uptime())
	go func() {
		<-a.ready
		a.announce()
	}()
	if err := a.Serve(ln); err != nil {
		a.log.Error("serve", "err", err)
	}
}

// announce dials the host's ready port. A host that does not listen there dials us when it wants to.
func (a *Agent) announce() {
	c, err := dialHost(proto.ReadyPort)
	if err != nil {
		a.log.Debug("ready", "err", err)
		return
	}
	a.log.Debug("ready", "uptime", uptime())
	if err := a.ServeReady(c); err != nil {
		a.log.Debug("control connection", "err", err)
	}
}

// consoleShell keeps a shell on the console. It ends with the guest.
func consoleShell(l *linux, log *slog.Logger, env []string) {
	for {
		f, err := os.OpenFile("/dev/console", os.O_RDWR, 0)
		if err != nil {
			log.Error("shell", "err", err)
			return
		}
		p, err := l.start(startSpec{
			path: "/bin/sh", args: []string{"-sh"}, env: append(env[:len(env):len(env)], "TERM=linux"), dir: "/root", files: [3]*os.File{f, f, f}, tty: true,
		})
		f.Close()
		if err != nil {
			log.Error("shell", "err", err)
			return
		}
		<-p.done()
		time.Sleep(shellPause)
	}
}

// shellPause keeps a shell that ends at once (no terminal behind the console) from taking the CPU.
const shellPause = time.Second

func uptime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

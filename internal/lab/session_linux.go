package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A session is the directory of one outer machine on the host. Its lock is held by whoever starts or ends a machine.
//
//	husk-lab-UID-HASH/
//	    lock            flock
//	    socket, info    of the machine that serves new clients
//	    machine-PID/    files of the machine of supervisor PID; one that retires may linger beside its successor
type session struct {
	dir string // mode 0700, ours
}

// Names in a session's directory, and in a machine's.
const (
	socketName     = "socket"     // where clients connect
	lockName       = "lock"       // flock: held while a machine is started or ended
	infoName       = "info"       // JSON of sessionInfo
	machinePrefix  = "machine-"   // followed by the supervisor's process id
	consoleName    = "console"    // what the outer kernel printed
	initramfsName  = "initramfs"  // removed once the machine runs
	supervisorName = "supervisor" // what the supervisor and QEMU had to say
	aliveName      = "alive"      // flock: held by the supervisor as long as it lives
)

// sessionInfo says which machine runs.
type sessionInfo struct {
	Supervisor int    // process id
	Identity   string // of what the machine was made from: see machine.identity
	Machine    string // for people
}

// newSession names the session of an option set: users, names, shapes of machine and Go modules have their own.
func newSession(o options, workDir string) (session, error) {
	name := o.session
	if name == "" {
		name = moduleRoot(workDir)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d %v", name, o.memoryMiB, o.smp2))
	base := os.TempDir()
	// Socket names are short (108 bytes): a deep TMPDIR would not do.
	dir := filepath.Join(base, fmt.Sprintf("husk-lab-%d-%s", os.Getuid(), hex.EncodeToString(sum[:6])))
	if len(dir)+1+len(socketName) > 107 {
		return session{}, fmt.Errorf("lab: session directory %s: too long for a socket's name; set TMPDIR to a shorter one", dir)
	}
	return session{dir: dir}, nil
}

// moduleRoot is the nearest directory upwards with a go.mod, or nothing.
func moduleRoot(dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// file names a file of the session.
func (s session) file(name string) string { return filepath.Join(s.dir, name) }

// errGone is a session that was removed by the one who had it, just now.
var errGone = errors.New("lab: session: gone")

// create makes the directory if need be, and refuses one that is not ours alone.
func (s session) create() error {
	if err := os.Mkdir(s.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("lab: session: %w", err)
	}
	var st unix.Stat_t
	err := unix.Lstat(s.dir, &st)
	if errors.Is(err, fs.ErrNotExist) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("lab: session %s: %w", s.dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Getuid() || st.Mode&0o077 != 0 {
		return fmt.Errorf("lab: session %s: not a directory of ours alone; remove it", s.dir)
	}
	return nil
}

// lock takes the session's lock, waiting for it, and creates the directory if it is gone. The holder releases it by
// closing the file.
func (s session) lock() (*os.File, error) { return s.flock(unix.LOCK_EX) }

// tryLock takes the lock if it is free; the error is EWOULDBLOCK if it is not.
func (s session) tryLock() (*os.File, error) { return s.flock(unix.LOCK_EX | unix.LOCK_NB) }

func (s session) flock(how int) (*os.File, error) {
	for {
		if err := s.create(); errors.Is(err, errGone) {
			continue
		} else if err != nil {
			return nil, err
		}
		f, err := os.OpenFile(s.file(lockName), os.O_RDWR|os.O_CREATE, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the directory was removed in between
		}
		if err != nil {
			return nil, fmt.Errorf("lab: lock session: %w", err)
		}
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			err = unix.Flock(int(f.Fd()), how)
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lab: lock session %s: %w", s.dir, err)
		}
		// The file may have been removed while we waited: then another one counts.
		var ours, there unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &ours); err != nil {
			f.Close()
			return nil, fmt.Errorf("lab: lock session: %w", err)
		}
		if err := unix.Stat(s.file(lockName), &there); err == nil && ours.Ino == there.Ino && ours.Dev == there.Dev {
			return f, nil
		}
		f.Close()
	}
}

// machineDir is the directory of the machine of a supervisor.
func (s session) machineDir(supervisor int) string {
	return s.file(machinePrefix + strconv.Itoa(supervisor))
}

// clean deletes what a supervisor that was killed left. The caller holds the lock, and no machine serves.
func (s session) clean() error {
	dirs, err := filepath.Glob(s.file(machinePrefix + "*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		f, err := holdAlive(dir)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue // it retires
		}
		if err != nil {
			return err
		}
		if err := errors.Join(os.RemoveAll(dir), f.Close()); err != nil {
			return fmt.Errorf("lab: clean session: %w", err)
		}
	}
	return s.vacate()
}

// holdAlive marks a machine's directory as that of a living supervisor, for as long as the file is open. A process id
// would not do: it may be a zombie's, or somebody else's by now.
func holdAlive(machineDir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(machineDir, aliveName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lab: session: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lab: session %s: %w", machineDir, err)
	}
	return f, nil
}

// vacate takes the session from its machine: clients will find none. The caller holds the lock.
func (s session) vacate() error {
	for _, name := range []string{socketName, infoName} {
		if err := os.Remove(s.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("lab: vacate session: %w", err)
		}
	}
	return nil
}

// remove deletes the session unless a machine has it. The caller holds the lock.
func (s session) remove() error {
	if _, err := os.Stat(s.file(infoName)); err == nil {
		return nil
	}
	if err := os.Remove(s.file(lockName)); err != nil {
		return fmt.Errorf("lab: remove session: %w", err)
	}
	if err := os.Remove(s.dir); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("lab: remove session: %w", err)
	}
	return nil // not empty: another machine retires, and its end will try again; or the next client is here already
}

// info reads what is known of the machine that serves.
func (s session) info() (sessionInfo, error) {
	var i sessionInfo
	b, err := os.ReadFile(s.file(infoName))
	if err == nil {
		err = decodeJSON(b, &i)
	}
	if err != nil {
		return i, fmt.Errorf("lab: session: %w", err)
	}
	return i, nil
}

// writeInfo records the machine that serves, atomically.
func (s session) writeInfo(i sessionInfo) error {
	tmp := s.file(infoName + ".new")
	if err := os.WriteFile(tmp, encodeJSON(i), 0o600); err != nil {
		return fmt.Errorf("lab: session: %w", err)
	}
	return os.Rename(tmp, s.file(infoName))
}

// consoleTail returns the last lines of what a machine's kernel printed.
func consoleTail(machineDir string, lines int) string {
	b, err := os.ReadFile(filepath.Join(machineDir, consoleName))
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(strings.ReplaceAll(string(b), "\r", ""), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

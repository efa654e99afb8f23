//go:build linux

package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helperEnv makes this binary a helper in the guest instead of a test.
const helperEnv = "HUSK_E2E_HELPER"

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		helper, ok := helpers()[name]
		if !ok {
			fmt.Fprintln(os.Stderr, "no helper", name)
			os.Exit(2)
		}
		if err := helper(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func helpers() map[string]func([]string) error {
	return map[string]func([]string) error{
		"cpus": helpCPUs, "fill": helpFill, "verify": helpVerify, "send": helpSend, "receive": helpReceive, "load": helpLoad, "show": helpShow, "terminal": helpTerminal,
	}
}

// helpCPUs runs on each online CPU in turn and prints its number.
func helpCPUs([]string) error {
	runtime.LockOSThread()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	for cpu := range 1024 {
		if !all.IsSet(cpu) {
			continue
		}
		var one unix.CPUSet
		one.Set(cpu)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return fmt.Errorf("cpu %d: %w", cpu, err)
		}
		h := sha256.New()
		io.CopyN(h, pattern(uint64(cpu)), 1<<20)
		on, err := currentCPU()
		if err != nil {
			return err
		}
		if on != cpu {
			return fmt.Errorf("asked for cpu %d, ran on %d", cpu, on)
		}
		fmt.Printf("%d %x\n", cpu, h.Sum(nil))
	}
	return nil
}

// currentCPU reads the processor field of /proc/thread-self/stat, the 39th [proc(5)].
func currentCPU() (int, error) {
	b, err := os.ReadFile("/proc/thread-self/stat")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	const processor = 39 - 3 // counted behind the command's name, which is field 2
	if len(fields) <= processor {
		return 0, fmt.Errorf("/proc/thread-self/stat has %d fields", len(fields))
	}
	return strconv.Atoi(fields[processor])
}

// pattern is an endless stream of bytes that anybody with the seed can check: 64 KiB of noise, again and again, with the
// position at the head of each round. It is cheap, because in the lab both ends are emulated.
func pattern(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	p := &patternReader{block: make([]byte, 64<<10)}
	rand.NewChaCha8(key).Read(p.block)
	return p
}

type patternReader struct {
	block []byte
	round uint64
	off   int
}

func (p *patternReader) Read(b []byte) (int, error) {
	if p.off == 0 {
		binary.LittleEndian.PutUint64(p.block, p.round)
		p.round++
	}
	n := copy(b, p.block[p.off:])
	p.off = (p.off + n) % len(p.block)
	return n, nil
}

// check compares what is written to it with a pattern.
type check struct {
	want io.Reader
	buf  []byte
	n    int64
}

func newCheck(seed uint64) *check { return &check{want: pattern(seed)} }

func (c *check) Write(p []byte) (int, error) {
	if len(c.buf) < len(p) {
		c.buf = make([]byte, len(p))
	}
	want := c.buf[:len(p)]
	io.ReadFull(c.want, want)
	if !bytes.Equal(p, want) {
		return 0, fmt.Errorf("contents differ within %d bytes from %d on", len(p), c.n)
	}
	c.n += int64(len(p))
	return len(p), nil
}

// helpFill writes the pattern all over a device: DEVICE SEED.
func helpFill(args []string) error {
	f, n, err := openDevice(args[0], os.O_RDWR)
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, io.LimitReader(pattern(number(args[1])), n), make([]byte, 1<<20)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// helpVerify reads the pattern back: DEVICE SEED.
func helpVerify(args []string) error {
	f, n, err := openDevice(args[0], os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.CopyBuffer(newCheck(number(args[1])), struct{ io.Reader }{f}, make([]byte, 1<<20))
	if err == nil && got != n {
		err = fmt.Errorf("%d bytes, want %d", got, n)
	}
	return err
}

func openDevice(name string, flags int) (*os.File, int64, error) {
	f, err := os.OpenFile(name, flags, 0)
	if err != nil {
		return nil, 0, err
	}
	n, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return f, n, err
}

func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// helpSend sends the pattern over a vsock connection to the host: PORT SEED BYTES STALLS. With stalls it pauses a few
// times on the way.
func helpSend(args []string) error {
	f, err := dialHost(uint32(number(args[0])))
	if err != nil {
		return err
	}
	defer f.Close()
	return transfer(f, pattern(number(args[1])), number(args[2]), number(args[3]))
}

// helpReceive reads from a vsock connection to the host and compares with the pattern: PORT SEED BYTES STALLS.
func helpReceive(args []string) error {
	f, err := dialHost(uint32(number(args[0])))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := transfer(newCheck(number(args[1])), f, number(args[2]), number(args[3])); err != nil {
		return err
	}
	_, err = f.Write([]byte("ok"))
	return err
}

// transfer copies n bytes, standing still a few times on the way.
func transfer(w io.Writer, r io.Reader, n, stalls uint64) error {
	for part := range stalls + 1 {
		piece := n / (stalls + 1)
		if part == stalls {
			piece = n - piece*stalls
		}
		got, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.LimitReader(r, int64(piece))}, make([]byte, 64<<10))
		if err != nil {
			return err
		}
		if uint64(got) != piece {
			return io.ErrUnexpectedEOF
		}
		if part < stalls {
			time.Sleep(100 * time.Millisecond) // the stall under test
		}
	}
	return nil
}

func dialHost(port uint32) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_HOST, Port: port}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connect to host port %d: %w", port, err)
	}
	return os.NewFile(uintptr(fd), "vsock"), nil
}

// helpShow says where it runs and prints a file: FILE.
func helpShow(args []string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	b, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	fmt.Println(host, runtime.NumCPU(), string(b))
	return nil
}

// helpTerminal shows its terminal's size and changes of it, a line that was typed, and Ctrl-C; then it exits with 5.
func helpTerminal([]string) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGWINCH, unix.SIGINT)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			fmt.Println("line", in.Text())
		}
	}()
	for {
		ws, err := unix.IoctlGetWinsize(1, unix.TIOCGWINSZ)
		if err != nil {
			return err
		}
		fmt.Printf("size %dx%d term %s\n", ws.Col, ws.Row, os.Getenv("TERM"))
		if <-signals == unix.SIGINT {
			fmt.Println("interrupted")
			os.Exit(5)
		}
	}
}

// helpLoad keeps CPUs, the disk and its output busy until its input ends: DEVICE. It prints a rising number all the time.
func helpLoad(args []string) error {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for range runtime.NumCPU() {
		go func() {
			for {
				io.CopyN(io.Discard, pattern(1), 1<<20)
			}
		}()
	}
	f, n, err := openDevice(args[0], os.O_RDWR)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	buf := make([]byte, 64<<10)
	for i := uint64(0); ; i++ {
		off := int64(i) * int64(len(buf)) % (n - int64(len(buf)) + 1) &^ 4095
		binary.LittleEndian.PutUint64(buf, i)
		if _, err := f.WriteAt(buf, off); err != nil {
			return err
		}
		if _, err := f.ReadAt(buf, off); err != nil {
			return err
		}
		if got := binary.LittleEndian.Uint64(buf); got != i {
			return fmt.Errorf("wrote %d, read %d", i, got)
		}
		fmt.Fprintln(out, i)
		out.Flush()
	}
}

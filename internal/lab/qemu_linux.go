package lab

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

const (
	// slots is how many commands run at once; more wait. Each costs a virtio-serial port and a 9p device.
	slots = 12

	qemuName = "qemu-system-x86_64"
	// labPackages are what the lab needs on Debian: the emulator, and a kernel with kvm-amd and 9p as modules.
	labPackages = "qemu-system-x86 linux-image-amd64"
)

// bootModuleNames are what it takes to reach the host's root and the ports.
var bootModuleNames = []string{"virtio_pci", "9pnet_virtio", "9p", "virtio_console"}

// A machine is what an outer machine is made from.
type machine struct {
	qemu     string // path of the emulator
	kernel   string // path of the kernel
	release  string // its release
	self     string // path of this binary
	root     string // below which boot and lib/modules are
	memory   int    // MiB
	parallel bool   // two CPUs
}

// findMachine finds the parts on this host. The error says what to install.
func findMachine(o options) (machine, error) {
	m := machine{root: o.root, memory: o.memoryMiB, parallel: o.smp2}
	var err error
	if m.qemu, err = exec.LookPath(qemuName); err != nil {
		return m, fmt.Errorf("lab: %s is missing: run `kvmlab setup` as root, or install: %s", qemuName, labPackages)
	}
	if m.kernel, m.release, err = findKernel(o.root); err != nil {
		return m, err
	}
	if m.self = o.self; m.self == "" {
		m.self, err = os.Executable()
	}
	return m, err
}

// isStatic reports an error if a program needs an interpreter, which the initramfs does not have.
func isStatic(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return fmt.Errorf("lab: initramfs: %s: %w", program, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("lab: initramfs: %s is linked dynamically: build it with CGO_ENABLED=0", program)
		}
	}
	return nil
}

// findKernel returns the newest kernel below root that has the modules the lab needs.
func findKernel(root string) (image, release string, err error) {
	images, err := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
	if err != nil {
		return "", "", err
	}
	sort.Slice(images, func(i, j int) bool { return versionLess(images[j], images[i]) })
	for _, image := range images {
		release := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
		t, _, err := openModuleTree(root, release, false)
		if err != nil {
			continue
		}
		if _, err := t.resolve(append(append([]string{}, bootModuleNames...), laterModules...)...); err == nil {
			return image, release, nil
		}
	}
	return "", "", fmt.Errorf("lab: no kernel in %s has kvm-amd and 9p as modules: run `kvmlab setup` as root, or install: %s",
		filepath.Join(root, "boot"), labPackages)
}

// versionLess orders file names so that runs of digits compare as numbers.
func versionLess(a, b string) bool {
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na > 0 && nb > 0 {
			da, db := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
			if len(da) != len(db) {
				return len(da) < len(db)
			}
			if da != db {
				return da < db
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			return a[0] < b[0]
		}
		a, b = a[1:], b[1:]
	}
	return len(a) < len(b)
}

// digits counts the leading digits of s.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// identity changes when a part of the machine, or the host's set of packages, does.
func (m machine) identity() string {
	h := sha256.New()
	// This binary by its content: building it again, to the same bytes, may touch the file.
	self, err := os.ReadFile(m.self)
	fmt.Fprintf(h, "%x %v\n", sha256.Sum256(self), err)
	for _, file := range []string{m.qemu, m.kernel, "/var/lib/dpkg/status"} {
		fi, err := os.Stat(file)
		if err != nil {
			fmt.Fprintf(h, "%q none\n", file)
			continue
		}
		fmt.Fprintf(h, "%q %d %d\n", file, fi.Size(), fi.ModTime().UnixNano())
	}
	fmt.Fprintf(h, "%d %v\n", m.memory, m.parallel)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// String describes the machine for people.
func (m machine) String() string {
	cpus := "1 CPU"
	if m.parallel {
		cpus = "2 CPUs"
	}
	return fmt.Sprintf("Linux %s, %s, %d MiB", m.release, cpus, m.memory)
}

// initramfs builds the archive the machine starts from: this binary as /init, and the modules it loads first.
func (m machine) initramfs() ([]byte, error) {
	if err := isStatic(m.self); err != nil {
		return nil, err
	}
	self, err := os.ReadFile(m.self)
	if err != nil {
		return nil, fmt.Errorf("lab: initramfs: %w", err)
	}
	t, dir, err := openModuleTree(m.root, m.release, false)
	if err != nil {
		return nil, fmt.Errorf("lab: initramfs: %w", err)
	}
	files, err := t.resolve(bootModuleNames...)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	c := &cpioWriter{w: &buf}
	c.dir("dev")
	c.char("dev/console", 0o600, 5, 1)
	c.file(strings.TrimPrefix(initPath, "/"), 0o755, self)
	c.dir(strings.TrimPrefix(bootModules, "/"))
	for i, file := range files {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return nil, fmt.Errorf("lab: initramfs: %w", err)
		}
		c.file(fmt.Sprintf("%s/%02d-%s", strings.TrimPrefix(bootModules, "/"), i, filepath.Base(file)), 0o644, b)
	}
	if err := c.close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// firstPortFD is the descriptor of slot 0's socket in QEMU; the others follow.
const firstPortFD = 3

// arguments is QEMU's command line; dir is the machine's directory.
func (m machine) arguments(dir string) []string {
	// A periodic tick, not one-shot timers: an interrupt that the emulation loses then costs one tick, not all of them.
	cpu, smp, cmdline := "max", "1", "console=ttyS0 quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on nohz=off highres=off"
	if m.parallel {
		// The one shape of two CPUs under multi-threaded emulation that does not hang inner guests.
		cpu, smp = "EPYC,+svm", "2"
	}
	args := []string{
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-machine", "q35,accel=tcg", "-cpu", cpu, "-smp", smp, "-m", fmt.Sprint(m.memory),
		"-kernel", m.kernel, "-initrd", filepath.Join(dir, initramfsName), "-append", cmdline,
		"-serial", "file:" + filepath.Join(dir, consoleName),
		// Give back what a command used.
		"-device", "virtio-balloon-pci,free-page-reporting=on",
		"-device", "virtio-serial-pci,max_ports=" + fmt.Sprint(slots+1),
	}
	for i := range slots {
		args = append(args,
			"-chardev", fmt.Sprintf("socket,id=port%d,fd=%d", i, firstPortFD+i),
			"-device", fmt.Sprintf("virtserialport,chardev=port%d,name=%s%d,nr=%d", i, portName, i, i+1))
	}
	nine := func(tag, mode string) {
		args = append(args,
			"-fsdev", "local,id="+tag+",path=/,security_model=none,multidevs=remap"+mode,
			"-device", "virtio-9p-pci,fsdev="+tag+",mount_tag="+tag)
	}
	nine(tagSystem, ",readonly=on")
	nine(tagWrite, "")
	for i := range slots {
		nine(fmt.Sprint(tagSlot, i), ",readonly=on")
	}
	return args
}

// missingPackages lists what `kvmlab setup` has to install.
func missingPackages(root string) []string {
	var missing []string
	if _, err := exec.LookPath(qemuName); errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		missing = append(missing, "qemu-system-x86")
	}
	if _, _, err := findKernel(root); err != nil {
		missing = append(missing, "linux-image-amd64")
	}
	return missing
}

//go:build linux && amd64

package kvm

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestExplain(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	intel := write("intel", "processor\t: 0\nflags\t\t: fpu vmx sse\n\nprocessor\t: 1\nflags\t\t: fpu vmx sse\n")
	amd := write("amd", "flags\t\t: fpu svm\n")
	none := write("none", "flags\t\t: fpu svml\nbugs\t\t: vmx svm\n")
	open := func(err error) error {
		return fmt.Errorf("kvm: %w", &fs.PathError{Op: "open", Path: "/dev/kvm", Err: err})
	}
	for _, tt := range []struct {
		name, cpuinfo  string
		err            error
		reason, advice string
	}{
		{"no device, intel", intel, open(unix.ENOENT), "no /dev/kvm", "kvm_intel"},
		{"no module, amd", amd, open(unix.ENXIO), "no /dev/kvm", "kvm_amd"},
		{"no hardware", none, open(unix.ENODEV), "no /dev/kvm", "nested virtualization"},
		{"no cpuinfo", filepath.Join(dir, "nothing"), open(unix.ENOENT), "no /dev/kvm", "firmware"},
		{"no permission", intel, open(unix.EACCES), "/dev/kvm: permission denied", "usermod -aG kvm"},
		{"busy", intel, fmt.Errorf("kvm: create vm: %w", unix.EBUSY), "another hypervisor", "VirtualBox"},
		{"no memory", intel, fmt.Errorf("kvm: create vm: %w", unix.ENOMEM), "out of memory", "memory"},
		{"not kvm", intel, fmt.Errorf("kvm: api version: %w", unix.ENOTTY), "not a KVM device", "major number 10"},
		{"anything else", intel, fmt.Errorf("kvm: create vm: %w", unix.EIO), "kvm: create vm: input/output error", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &Backend{path: "/dev/kvm", cpuinfo: tt.cpuinfo}
			reason, advice := b.explain(tt.err)
			if !strings.Contains(reason, tt.reason) || !strings.Contains(advice, tt.advice) {
				t.Errorf("%q, %q; want %q, %q", reason, advice, tt.reason, tt.advice)
			}
		})
	}
}

// TestProbeOfOtherFiles probes what is not KVM.
func TestProbeOfOtherFiles(t *testing.T) {
	for path, reason := range map[string]string{
		os.DevNull:            "not a KVM device",
		"/nowhere/at/all/kvm": "no /nowhere",
	} {
		b := &Backend{path: path, cpuinfo: os.DevNull}
		r := b.Probe(t.Context())
		if r.Usable || !strings.Contains(r.Reason, reason) || r.Advice == "" {
			t.Errorf("%s: %+v, want %q", path, r, reason)
		}
	}
}

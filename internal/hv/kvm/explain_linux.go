//go:build linux && amd64

package kvm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// explain says for a person why KVM cannot be used, and what to do about it.
func (b *Backend) explain(err error) (reason, advice string) {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Sprintf("no %s", b.path), b.adviseMissing()
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("%s: permission denied", b.path),
			"add yourself to group kvm (sudo usermod -aG kvm $USER) and log in again; in a container, pass the device in"
	case errors.Is(err, unix.EBUSY):
		return fmt.Sprintf("%s: the CPU's virtualization is in use by another hypervisor", b.path),
			"stop the other hypervisor's virtual machines (VirtualBox, VMware) or unload its kernel module"
	case errors.Is(err, unix.ENOTTY):
		return fmt.Sprintf("%s is not a KVM device", b.path), "look what made it; the kernel's has major number 10, minor 232"
	case errors.Is(err, unix.ENOMEM):
		return fmt.Sprintf("%s: out of memory", b.path), "free memory, or raise the memory limit of this container"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("probe of %s: %v", b.path, err), ""
	default:
		return err.Error(), ""
	}
}

// adviseMissing looks whether the CPU could do it.
func (b *Backend) adviseMissing() string {
	info, err := os.ReadFile(b.cpuinfo)
	switch {
	case err == nil && hasFlag(info, "vmx"):
		return "load the kernel module (sudo modprobe kvm_intel); in a container, pass /dev/kvm in"
	case err == nil && hasFlag(info, "svm"):
		return "load the kernel module (sudo modprobe kvm_amd); in a container, pass /dev/kvm in"
	default:
		return "enable virtualization in the firmware's settings, or nested virtualization if this is a virtual machine"
	}
}

// hasFlag looks for a word in the lines that begin with "flags".
func hasFlag(cpuinfo []byte, flag string) bool {
	for line := range bytes.Lines(cpuinfo) {
		key, val, _ := bytes.Cut(line, []byte(":"))
		if string(bytes.TrimSpace(key)) != "flags" {
			continue
		}
		for word := range bytes.FieldsSeq(val) {
			if string(word) == flag {
				return true
			}
		}
	}
	return false
}

//go:build linux && amd64

package kvm

import (
	"fmt"

	"github.com/husk-vm/husk/internal/hostos"
)

// request is the number of an ioctl [KVM-API §4].
type request uintptr

const (
	getAPIVersion       request = 0xae00
	createVM            request = 0xae01
	checkExtension      request = 0xae03
	getVCPUMmapSize     request = 0xae04
	createVCPU          request = 0xae41
	getDirtyLog         request = 0x4010_ae42
	setUserMemoryRegion request = 0x4020_ae46
	registerCoalesced   request = 0x4010_ae67
	setGSIRouting       request = 0x4008_ae6a
	ioEventFD           request = 0x4040_ae79
	signalMSI           request = 0x4020_aea5
	enableCap           request = 0x4068_aea3
	runVCPU             request = 0xae80
)

const apiVersion = 12 // KVM_API_VERSION: frozen in 2007; later features have capabilities

// call is an ioctl on a descriptor that others may close meanwhile.
func call(f *hostos.FD, req request, arg uintptr) (int, error) {
	fd, err := f.Acquire()
	if err != nil {
		return 0, err
	}
	defer f.Release()
	return ioctl(fd, req, arg)
}

// callWith is call with a pointer to a kernel structure.
func callWith[T any](f *hostos.FD, req request, arg *T) (int, error) {
	fd, err := f.Acquire()
	if err != nil {
		return 0, err
	}
	defer f.Release()
	return ioctlWith(fd, req, arg)
}

// callBytes is callWith for structures of variable length.
func callBytes(f *hostos.FD, req request, arg []byte) (int, error) {
	if len(arg) == 0 {
		panic(fmt.Sprintf("BUG: kvm: ioctl %#x without its argument", uintptr(req)))
	}
	return callWith(f, req, &arg[0])
}

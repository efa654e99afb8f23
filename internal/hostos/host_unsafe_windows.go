package hostos

import (
	"fmt"
	"runtime"
	"structs"
	"unsafe"

	"golang.org/x/sys/windows"
)

// CPUs is the number of host CPUs that this process may use.
func CPUs() int { return runtime.NumCPU() }

// memoryStatusEx is MEMORYSTATUSEX.
type memoryStatusEx struct {
	_                                       structs.HostLayout
	length, load                            uint32
	totalPhys, availPhys                    uint64
	totalPage, availPage, totalVirt, availV uint64
	availExtended                           uint64
}

// HostRAM asks the host how much memory it has.
func HostRAM() (RAM, error) {
	proc := windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")
	st := memoryStatusEx{}
	st.length = uint32(unsafe.Sizeof(st))
	// Safety: st is as long as its length says and outlives the call.
	if ok, _, err := proc.Call(uintptr(unsafe.Pointer(&st))); ok == 0 {
		return RAM{}, fmt.Errorf("hostos: host memory: %w", err)
	}
	return RAM{Total: st.totalPhys, Available: st.availPhys}, nil
}

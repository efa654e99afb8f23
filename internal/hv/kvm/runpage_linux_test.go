//go:build linux && amd64

package kvm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/husk-vm/husk/internal/hv"
)

const testPageSize = 3 * 4096 // what kernels of today map: the page, the data of ports, a ring

// put is a value of 1, 2, 4 or 8 bytes for a synthetic page.
type put struct {
	off   int
	value any
}

// makePage is a page as the kernel leaves it after an exit. All bytes that no value covers are 0xee.
func makePage(reason exitReason, puts ...put) runPage {
	p := runPage(bytes.Repeat([]byte{0xee}, testPageSize))
	for _, v := range append(puts, put{runExitReason, uint32(reason)}) {
		b, err := binary.Append(nil, binary.NativeEndian, v.value)
		if err != nil {
			panic(err)
		}
		copy(p[v.off:], b)
	}
	return p
}

func portPage(direction, size uint8, port uint16, count uint32, offset uint64) runPage {
	return makePage(exitIO, put{runIODirection, direction}, put{runIOSize, size}, put{runIOPort, port},
		put{runIOCount, count}, put{runIOOffset, offset}, put{4096, []byte("0123456789abcdef")})
}

func mmioPage(addr uint64, n uint32, write uint8) runPage {
	return makePage(exitMMIO, put{runMMIOAddr, addr}, put{runMMIOLen, n}, put{runMMIOWrite, write}, put{runMMIOData, []byte("stuvwxyz")})
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name string
		page runPage
		want hv.Exit
		data string
		fail string // text of the failure
	}{
		{"out", portPage(1, 1, 0x3f8, 1, 4096), hv.Exit{Kind: hv.ExitPort, Addr: 0x3f8, Size: 1, Write: true}, "0", ""},
		{"in word", portPage(0, 2, 0xcfc, 1, 4096), hv.Exit{Kind: hv.ExitPort, Addr: 0xcfc, Size: 2}, "01", ""},
		{"rep outsd", portPage(1, 4, 0xffff, 4, 4096), hv.Exit{Kind: hv.ExitPort, Addr: 0xffff, Size: 4, Write: true}, "0123456789abcdef", ""},
		{"to the very end", portPage(1, 1, 1, 16, testPageSize-16), hv.Exit{Kind: hv.ExitPort, Addr: 1, Size: 1, Write: true}, strings.Repeat("\xee", 16), ""},
		{"port of 3", portPage(1, 3, 1, 1, 4096), hv.Exit{}, "", "malformed port exit (code 0x3)"},
		{"port of 0", portPage(1, 0, 1, 1, 4096), hv.Exit{}, "", "malformed port exit"},
		{"no units", portPage(1, 1, 1, 0, 4096), hv.Exit{}, "", "malformed port exit"},
		{"behind the end", portPage(1, 1, 1, 17, testPageSize-16), hv.Exit{}, "", "malformed port exit"},
		{"all units there are", portPage(1, 4, 1, 1<<32-1, 4096), hv.Exit{}, "", "malformed port exit (code 0x3fffffffc)"},
		{"offset wraps", portPage(1, 1, 1, 16, 1<<64-8), hv.Exit{}, "", "malformed port exit"},
		{"load", mmioPage(0xd000_0000, 4, 0), hv.Exit{Kind: hv.ExitMMIO, Addr: 0xd000_0000, Size: 4}, "stuv", ""},
		{"store", mmioPage(1<<63, 8, 1), hv.Exit{Kind: hv.ExitMMIO, Addr: 1 << 63, Size: 8, Write: true}, "stuvwxyz", ""},
		{"store of 3", mmioPage(0xffd, 3, 1), hv.Exit{Kind: hv.ExitMMIO, Addr: 0xffd, Size: 3, Write: true}, "stu", ""},
		{"store of 9", mmioPage(0, 9, 1), hv.Exit{}, "", "malformed mmio exit (code 0x9)"},
		{"store of 0", mmioPage(0, 0, 1), hv.Exit{}, "", "malformed mmio exit (code 0x0)"},
		{"halt", makePage(exitHLT), hv.Exit{Kind: hv.ExitHalt}, "", ""},
		{"shutdown", makePage(exitShutdown), hv.Exit{Kind: hv.ExitReset}, "", ""},
		{"eoi", makePage(exitIOAPICEOI, put{runEOIVector, uint8(0x51)}), hv.Exit{Kind: hv.ExitIOAPICEOI, Vector: 0x51}, "", ""},
		{"event off", makePage(exitSystemEvent, put{runEventType, uint32(1)}), hv.Exit{Kind: hv.ExitPowerOff}, "", ""},
		{"event reset", makePage(exitSystemEvent, put{runEventType, uint32(2)}), hv.Exit{Kind: hv.ExitReset}, "", ""},
		{"event crash", makePage(exitSystemEvent, put{runEventType, uint32(3)}), hv.Exit{}, "", "guest crash (code 0x3)"},
		{"event new", makePage(exitSystemEvent, put{runEventType, uint32(9)}), hv.Exit{}, "", "unexpected system event (code 0x9)"},
		{"unknown", makePage(exitUnknown, put{runReason, uint64(0x21)}), hv.Exit{}, "", "unknown exit of the hardware (code 0x21)"},
		{"failed entry", makePage(exitFailEntry, put{runReason, uint64(0x8000_0021)}), hv.Exit{}, "", "failed entry (code 0x80000021)"},
		{"emulation", makePage(exitInternalError, put{runSuberror, uint32(1)}, put{runNData, uint32(3)}, put{runErrFlags, uint64(1)},
			put{runInsnSize, uint8(3)}, put{runInsnBytes, []byte{0x0f, 0x0b, 0x90}}), hv.Exit{}, "", "internal error: emulation (code 0x1, instruction 0f 0b 90)"},
		{"emulation, too many bytes", makePage(exitInternalError, put{runSuberror, uint32(1)}, put{runNData, uint32(3)}, put{runErrFlags, uint64(1)},
			put{runInsnSize, uint8(255)}), hv.Exit{}, "", "instruction" + strings.Repeat(" ee", 15) + ")"},
		{"emulation of old kernels", makePage(exitInternalError, put{runSuberror, uint32(1)}, put{runNData, uint32(0)}), hv.Exit{}, "", "emulation (code 0x1)"},
		{"emulation without bytes", makePage(exitInternalError, put{runSuberror, uint32(1)}, put{runNData, uint32(4)}, put{runErrFlags, uint64(2)}), hv.Exit{}, "", "emulation (code 0x1)"},
		{"delivery", makePage(exitInternalError, put{runSuberror, uint32(3)}), hv.Exit{}, "", "internal error: event delivery (code 0x3)"},
		{"suberror new", makePage(exitInternalError, put{runSuberror, uint32(77)}), hv.Exit{}, "", "internal error: unknown (code 0x4d)"},
		{"debug", makePage(4), hv.Exit{}, "", "unexpected exit: debug (code 0x4)"},
		{"reason new", makePage(1000), hv.Exit{}, "", "unexpected exit: unknown (code 0x3e8)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exit := hv.Exit{Kind: hv.ExitMMIO, Addr: 1, Data: []byte{1}, Vector: 9, Err: errors.New("of before")}
			if !tt.page.decode(&exit) {
				t.Fatal("nobody's business")
			}
			if tt.fail != "" {
				if exit.Kind != hv.ExitFailed || !strings.Contains(exit.Err.Error(), tt.fail) {
					t.Fatalf("%v: %v, want %q", exit.Kind, exit.Err, tt.fail)
				}
				return
			}
			if string(exit.Data) != tt.data || cap(exit.Data) != len(exit.Data) {
				t.Errorf("data %q (cap %d), want %q", exit.Data, cap(exit.Data), tt.data)
			}
			got := exit
			got.Data = nil
			if got.Kind != tt.want.Kind || got.Addr != tt.want.Addr || got.Size != tt.want.Size || got.Write != tt.want.Write || got.Vector != tt.want.Vector || got.Err != nil {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
	if exit := (hv.Exit{}); makePage(exitIntr).decode(&exit) {
		t.Errorf("an interrupted run is somebody's business: %+v", exit)
	}
}

// TestDecodeAliases: what the caller fills in must land in the page.
func TestDecodeAliases(t *testing.T) {
	var exit hv.Exit
	p := portPage(0, 2, 1, 2, 4096)
	p.decode(&exit)
	copy(exit.Data, "\x01\x02\x03\x04")
	if string(p[4096:4100]) != "\x01\x02\x03\x04" {
		t.Errorf("% x", p[4096:4100])
	}
	if n := testing.AllocsPerRun(100, func() { p.decode(&exit) }); n != 0 {
		t.Errorf("%v allocations an exit", n)
	}
}

// FuzzDecode: whatever a kernel writes, the data lies in the page and has the shape that internal/hv promises.
func FuzzDecode(f *testing.F) {
	for _, p := range []runPage{portPage(1, 4, 1, 4, 4096), mmioPage(1, 8, 1), makePage(exitInternalError, put{runSuberror, uint32(1)}, put{runNData, uint32(3)}, put{runErrFlags, uint64(1)})} {
		f.Add([]byte(p[:64]))
	}
	page := makePage(exitHLT)
	f.Fuzz(func(t *testing.T, head []byte) {
		copy(page[:runPageSize], head)
		var exit hv.Exit
		if !page.decode(&exit) {
			return
		}
		n := len(exit.Data)
		switch exit.Kind {
		case hv.ExitPort:
			if exit.Addr > 0xffff || n == 0 || n%exit.Size != 0 || exit.Size > 4 || n > len(page) {
				t.Fatalf("port: %+v", exit)
			}
		case hv.ExitMMIO:
			if n < 1 || n > 8 || exit.Size != n {
				t.Fatalf("mmio: %+v", exit)
			}
		case hv.ExitFailed:
			if f, ok := exit.Err.(*hv.FailedError); !ok || f.Reason == "" || len(f.Bytes) > 15 {
				t.Fatalf("failed: %+v", exit)
			}
		case hv.ExitNone, hv.ExitKicked:
			t.Fatalf("made up: %+v", exit)
		}
		clear(exit.Data) // must be writable
	})
}

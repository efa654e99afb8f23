package bios

import "testing"

// TestResetVector runs the code on a CPU that knows just its instructions.
func TestResetVector(t *testing.T) {
	for _, tt := range []struct {
		port  uint16
		value byte
	}{{0x602, 1}, {0x64, 0xfe}, {0xffff, 0xff}, {0, 0}} {
		p := ResetVector(tt.port, tt.value)
		if p.Addr != 0xf000<<4+0xfff0 || len(p.Data) > ResetSize {
			t.Errorf("%d bytes at %#x", len(p.Data), p.Addr)
		}
		var dx uint16
		var al byte
		var writes, halts int
		for ip, steps := 0, 0; halts < 2; steps++ {
			if steps > 20 || ip >= len(p.Data) {
				t.Fatalf("port %#x: the code leaves itself at %d after %d steps", tt.port, ip, steps)
			}
			switch op := p.Data[ip]; op {
			case 0xba:
				dx = uint16(p.Data[ip+1]) | uint16(p.Data[ip+2])<<8
				ip += 3
			case 0xb0:
				al = p.Data[ip+1]
				ip += 2
			case 0xee:
				if writes++; dx != tt.port || al != tt.value {
					t.Errorf("writes %#x to port %#x, want %#x to %#x", al, dx, tt.value, tt.port)
				}
				ip++
			case 0xfa:
				ip++
			case 0xf4:
				halts++
				ip++
			case 0xeb:
				ip += 2 + int(int8(p.Data[ip+1]))
			default:
				t.Fatalf("opcode %#x at %d", op, ip)
			}
		}
		if writes != 1 {
			t.Errorf("%d writes", writes)
		}
	}
}

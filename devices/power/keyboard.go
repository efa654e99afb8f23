package power

import "github.com/husk-vm/husk/devices"

// Ports of the keyboard controller, from port 0x60.
const (
	keyboardCommand = 4 // port 0x64: commands when written, status when read
	// KeyboardSize is how many ports a KeyboardReset decodes: 0x60 to 0x64. Those between the two are not its own.
	KeyboardSize = 5

	keyboardPulseReset = 0xfe   // pulse output line 0, which is the CPU's reset
	keyboardInputFull  = 1 << 1 // status: the controller has not taken the last byte
)

// KeyboardReset is what is left of an 8042 keyboard controller: its reset line, which kernels pull when they know no
// better way (linux arch/x86/kernel/reboot.c, BOOT_KBD).
//
// The status register has every bit set but one, so that nobody waits. The input buffer is never full: before the reset
// command the kernel waits for that, up to 0.13 s. The output buffer always is: a driver that probes for a keyboard
// drains it, finds no end after 16 bytes and gives up (linux drivers/input/serio/i8042.c, i8042_controller_check),
// where an empty one would make it test the controller and wait half a second for each answer.
//
// It has no state. Any goroutine may call any method.
type KeyboardReset struct{ reset func() }

// NewKeyboardReset returns a controller that calls reset, which may be nil, under the rules of Events.Reset.
func NewKeyboardReset(reset func()) *KeyboardReset { return &KeyboardReset{reset} }

// Read implements devices.Device.
func (k *KeyboardReset) Read(off uint64, p []byte) {
	for i := range p {
		p[i] = 0xff
		if lane(off, i) == keyboardCommand {
			p[i] &^= keyboardInputFull
		}
	}
}

// Write implements devices.Device.
func (k *KeyboardReset) Write(off uint64, p []byte) {
	for i, v := range p {
		if lane(off, i) == keyboardCommand && v == keyboardPulseReset {
			call(k.reset)
		}
	}
}

var _ devices.Device = (*KeyboardReset)(nil)

package pci_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/devices/devicestest"
	"github.com/husk-vm/husk/internal/guestmem"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata/*.dialogue")

// ecamBase is where the dialogues see configuration space.
const ecamBase = 0xb000_0000

// TestDialogues plays testdata/*.dialogue: a guest's physical addresses, as a driver or a person with a debugger would
// use them. RAM is at 0 (1 MiB), ECAM at 0xb0000000, the 64-bit window at 0x100000000; the device, in slot 1, copies
// what it reads to what it writes. The verb irq waits for an interrupt and gives its data; quiet says "yes" if there is none.
func TestDialogues(t *testing.T) {
	devicestest.Dialogues(t, update, func(t *testing.T) devicestest.Script {
		m := newMachineRAM(t, &echo{queues: 2}, 1<<20)
		t.Cleanup(func() {
			if err := m.close(); err != nil {
				t.Error(err)
			}
		})
		ram, err := m.host.Memory.Range(0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []struct {
			base, size uint64
			dev        devices.Device
		}{{0, 1 << 20, ramDevice{ram}}, {ecamBase, 1 << 20, m.ecam}} {
			if err := m.bus.Map(part.base, part.size, part.dev); err != nil {
				t.Fatal(err)
			}
		}
		irqs := make(chan devices.MSI, 64)
		m.msis.Deliver = func(msg devices.MSI) { irqs <- msg }
		return devicestest.Script{Device: &m.bus, Verbs: map[string]func(uint64) string{
			"irq": func(uint64) string {
				select {
				case msg := <-irqs:
					return fmt.Sprintf("%#x:%#x", msg.Addr, msg.Data)
				case <-time.After(virtiotest.Patience):
					return "none"
				}
			},
			"quiet": func(uint64) string {
				if len(irqs) > 0 {
					return "no"
				}
				return "yes"
			},
		}}
	})
}

// ramDevice makes RAM a device.
type ramDevice struct{ r guestmem.Range }

func (d ramDevice) Read(off uint64, p []byte)  { _ = d.r.Read(off, p) }
func (d ramDevice) Write(off uint64, p []byte) { _ = d.r.Write(off, p) }

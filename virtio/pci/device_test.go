package pci_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

func TestRequestOverPCI(t *testing.T) {
	for _, attach := range []string{"doorbells", "writes"} {
		t.Run(attach, func(t *testing.T) {
			dev := &echo{queues: 3}
			m := newMachine(t, dev)
			if attach == "writes" {
				m.bells.Unsupported = context.Canceled // any error
			}
			d := m.start(t, dev)
			if !d.Features.Has(1<<50 | virtio.FeatureVersion1 | virtio.FeatureEventIdx) {
				t.Errorf("features %#x", d.Features)
			}
			if got := d.Config(0, 8); !bytes.Equal(got, []byte{0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0, 0}) {
				t.Errorf("config %x", got)
			}
			for i := range 3 {
				r := d.Queue(i).Do(virtiotest.Out([]byte("hello")), virtiotest.In(9))
				if string(r.Bytes()) != "hello" {
					t.Errorf("queue %d: %q", i, r.Bytes())
				}
			}
			if attach == "doorbells" && len(m.bells.Attached()) != 3 {
				t.Errorf("attached at %#x", m.bells.Attached())
			}
		})
	}
}

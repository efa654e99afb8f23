package virtio_test

import (
	"bytes"
	"testing"

	"github.com/husk-vm/husk/virtio"
	"github.com/husk-vm/husk/virtio/virtiotest"
)

func TestEcho(t *testing.T) {
	for _, f := range []struct {
		name    string
		without virtio.Features
	}{
		{"all features", 0},
		{"no event index", virtio.FeatureEventIdx},
		{"no indirect", virtio.FeatureIndirectDesc},
	} {
		t.Run(f.name, func(t *testing.T) {
			d := virtiotest.Start(t, &echo{}, virtiotest.Options{Without: f.without})
			q := d.Queue(0)
			for i := range 100 {
				out := bytes.Repeat([]byte{byte(i)}, 5)
				r := q.Do(virtiotest.Out(out[:3]), virtiotest.Out(out[3:]), virtiotest.In(1), virtiotest.In(10))
				if r.Written != 5 || !bytes.Equal(r.Bytes(), out) {
					t.Fatalf("request %d: %+v", i, r)
				}
				if f.without.Has(virtio.FeatureIndirectDesc) {
					continue
				}
				q.AddIndirect(virtiotest.Out(out), virtiotest.In(2), virtiotest.In(3))
				q.Kick()
				if r := q.Wait(); !bytes.Equal(r.Bytes(), out) {
					t.Fatalf("indirect request %d: %+v", i, r)
				}
			}
		})
	}
}

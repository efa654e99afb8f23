package console

import (
	"encoding/binary"
	"strings"
	"testing"
)

// FuzzControl sends a driver's messages, right and wrong, and takes the answers now and then. A model says what is owed;
// it is written from the spec [VIRTIO §5.3.6.2].
func FuzzControl(f *testing.F) {
	var script []byte
	for _, m := range [][]byte{
		message(^uint32(0), eventDeviceReady, 1), message(0, eventPortReady, 1), message(0, eventPortOpen, 1),
		message(1, eventPortReady, 1), message(1, eventPortOpen, 1), message(2, eventPortReady, 0),
	} {
		script = append(append(script, m...), 2)
	}
	f.Add(script)
	f.Add(append(message(99, 99, 99), 9))
	f.Fuzz(func(t *testing.T, script []byte) {
		d := newDevice(t, Port{Console: true}, Port{Name: "n"}, Port{Name: "c", Console: true, In: strings.NewReader("")})
		for _, p := range d.ports {
			p.in.start()
		}
		d.ctl.start()
		owed := map[string]bool{} // descriptions of messages, without what is behind the value
		take := func() bool {
			m := d.ctl.take(make([]byte, 0, maxMessage))
			if len(m) == 0 {
				return false
			}
			if len(m) > maxMessage || binary.LittleEndian.Uint32(m) >= 3 {
				t.Fatalf("message %x", m)
			}
			s, _, _ := strings.Cut(describe(m), " \"")
			s, _, _ = strings.Cut(s, " cols")
			if !owed[s] {
				t.Fatalf("message %q, owed are %v", s, owed)
			}
			delete(owed, s)
			return true
		}
		for ; len(script) > controlSize; script = script[controlSize+1:] {
			var m control
			copy(m[:], script)
			d.ctl.handle(&m)
			id := m.id()
			switch e := binary.LittleEndian.Uint16(m[4:]); {
			case e == 0 && m.value() != 0:
				owed["port 0 DEVICE_ADD 1"], owed["port 1 DEVICE_ADD 1"], owed["port 2 DEVICE_ADD 1"] = true, true, true
			case e == 3 && id < 3 && m.value() != 0:
				name := []string{"port 0 ", "port 1 ", "port 2 "}[id]
				delete(owed, name+"RESIZE 0") // no size was set
				owed[name+"PORT_OPEN 1"] = true
				if id != 1 {
					owed[name+"CONSOLE_PORT 1"] = true
				}
				if id != 0 {
					owed[name+"PORT_NAME 1"] = true
				}
			case e == 6 && id < 3:
				if d.ports[id].in.isOpen() != (m.value() != 0) {
					t.Fatalf("port %d: open is %v after %x", id, d.ports[id].in.isOpen(), m)
				}
			}
			for range script[controlSize] % 8 {
				take()
			}
		}
		for take() {
		}
		if len(owed) != 0 {
			t.Fatalf("never sent: %v", owed)
		}
	})
}

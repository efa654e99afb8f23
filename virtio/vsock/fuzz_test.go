package vsock

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzPackets lets a hostile guest and a busy host act in any order, and checks after every step what must always hold.
// At the end nothing may be left: no goroutine, no connection, no chunk.
func FuzzPackets(f *testing.F) {
	pkt := func(o op, src, dst byte, n uint16, alloc, fwd byte) []byte {
		return []byte{0, byte(o), src, dst, byte(n), byte(n >> 8), alloc, fwd}
	}
	var script []byte
	for _, p := range [][]byte{
		pkt(opRequest, 1, 1, 0, 9, 0),
		{2},
		{7, 3},
		pkt(opRW, 1, 1, 3000, 9, 0),
		{3, 0, 255},
		{4, 0, 200},
		{7, 9},
		pkt(opCreditUpdate, 1, 1, 0, 12, 1),
		{7, 9},
		{1, 1},
		{7, 1},
		pkt(opResponse, 1, 4, 0, 9, 0),
		{5, 1},
		pkt(opShutdown, 1, 1, 0, 3, 0),
		{7, 9},
		{6, 0, 3},
		{8},
		{9},
	} {
		script = append(script, p...)
	}
	f.Add(script)
	f.Add(append(pkt(opRequest, 1, 1, 0, 0, 0), pkt(opRequest, 1, 1, 0, 0, 0)...))
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 4096 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			z := newFuzzer(t)
			for len(script) > 0 && !t.Failed() {
				script = z.step(script)
				synctest.Wait()
				z.check()
			}
			z.end()
		})
	})
}

const fuzzConns = 6

type fuzzer struct {
	t     *testing.T
	d     *Device
	l     *Listener
	conns []*Conn
	buf   memChain
	pkt   packet
	hdr   header
}

func newFuzzer(t *testing.T) *fuzzer {
	z := &fuzzer{t: t, d: newTestDevice(t, Config{Window: MinWindow, MaxConns: fuzzConns})}
	var err error
	if z.l, err = z.d.Listen(1); err != nil {
		t.Fatal(err)
	}
	z.buf.b = make([]byte, 0, 1<<17)
	return z
}

// arg takes one byte of the script; it is 0 at its end.
func arg(script *[]byte) byte {
	if len(*script) == 0 {
		return 0
	}
	b := (*script)[0]
	*script = (*script)[1:]
	return b
}

// step does one thing and returns the rest of the script.
func (z *fuzzer) step(s []byte) []byte {
	what := arg(&s)
	if what == 0 {
		z.packet(&s)
		return s
	}
	switch what % 10 {
	case 1:
		port := uint32(arg(&s) % 3)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		go func() {
			defer cancel()
			if c, err := z.d.Dial(ctx, port); err == nil {
				z.d.mu.Lock() // any lock does
				z.conns = append(z.conns, c)
				z.d.mu.Unlock()
			}
		}()
	case 2:
		if len(z.l.backlog) > 0 {
			if c := <-z.l.backlog; c != nil {
				z.conns = append(z.conns, c)
			}
		}
	case 7:
		for range arg(&s)%16 + 1 {
			z.fill(uint64(arg(&s))*16 + 1)
		}
	case 8:
		time.Sleep(time.Duration(arg(&s)) * 100 * time.Millisecond)
	case 9:
		switch arg(&s) % 4 {
		case 0:
			z.d.ResetTransport()
		case 1:
			z.d.down()
			z.d.up()
		case 2:
			z.d.State()
		}
	default:
		z.host(what%10, &s)
	}
	return s
}

// host does something with a connection.
func (z *fuzzer) host(what byte, s *[]byte) {
	if len(z.conns) == 0 {
		return
	}
	c := z.conns[int(arg(s))%len(z.conns)]
	n := int(arg(s))
	switch what {
	case 3:
		if free(&c.writing) {
			go c.Write(make([]byte, n*64))
		}
	case 4:
		if free(&c.reading) {
			go c.Read(make([]byte, n*64))
		}
	case 5:
		c.SetLinger(n%4 - 1)
		c.Close()
	case 6:
		switch n % 4 {
		case 0:
			c.CloseRead()
		case 1:
			c.CloseWrite()
		case 2:
			c.SetDeadline(time.Now())
		case 3:
			c.SetDeadline(time.Now().Add(time.Second))
		}
	}
}

// free reports whether nobody holds mu. synctest.Wait does not return while somebody waits for it.
func free(mu *sync.Mutex) bool {
	if !mu.TryLock() {
		return false
	}
	mu.Unlock()
	return true
}

// packet sends a packet that is mostly valid.
func (z *fuzzer) packet(s *[]byte) {
	o, src, dst := arg(s), uint32(arg(s)%4), uint32(arg(s)%8)
	n := uint32(arg(s)) | uint32(arg(s))<<8
	alloc, fwd := arg(s), arg(s)
	if dst >= 4 {
		dst += firstPort - 4
	}
	f := fields{
		srcCID: testCID, dstCID: HostCID, srcPort: src, dstPort: dst, typ: typeStream, op: op(o % 9),
		flags: uint32(alloc), bufAlloc: 1 << (alloc % 33), len: n,
	}
	if c := z.d.lookup(connKey{src, dst}); c != nil && fwd < 128 {
		f.fwdCnt = c.txCnt - uint32(fwd)
	} else {
		f.fwdCnt = uint32(int8(fwd))
	}
	if o >= 250 {
		f.typ = sockType(o - 250)
	}
	size := uint64(headerSize)
	if f.op == opRW {
		size += uint64(n)
	}
	var h header
	h.set(f)
	z.buf.b = append(z.buf.b[:0], h[:]...)
	z.buf.b = z.buf.b[:size]
	if err := z.d.take(&z.buf, size, &z.hdr); err != nil {
		z.t.Errorf("%v: %v", f, err)
	}
}

// fill takes a packet from the device and checks it.
func (z *fuzzer) fill(room uint64) {
	z.buf.b = z.buf.b[:0]
	n, err := z.d.fill(&z.buf, room, &z.pkt)
	if err != nil {
		z.t.Fatal(err)
	}
	if n == 0 {
		return
	}
	h := header(z.buf.b[:headerSize])
	payload := uint64(n) - headerSize
	legal := h.srcCID() == HostCID && h.dstCID() == testCID && uint64(h.len()) == payload && payload <= room
	switch h.op() {
	case opRequest, opResponse, opCreditUpdate, opCreditRequest:
		legal = legal && payload == 0 && h.flags() == 0 && h.typ() == typeStream && h.bufAlloc() == MinWindow
	case opRst:
		legal = legal && payload == 0 && h.flags() == 0
	case opShutdown:
		legal = legal && payload == 0 && h.flags() > 0 && h.flags() <= 3
	case opRW:
		c := z.d.lookup(connKey{h.dstPort(), h.srcPort()})
		if c != nil && c.txCnt-c.peerFwd > c.peerAlloc {
			z.t.Errorf("sent %d bytes of which the guest read %d, into a buffer of %d", c.txCnt, c.peerFwd, c.peerAlloc)
		}
		legal = legal && payload > 0 && h.flags() == 0
	default:
		legal = false
	}
	if !legal {
		z.t.Errorf("packet %v: %x", h.op(), z.buf.b[:min(n, headerSize)])
	}
}

// check holds what must be true between any two steps. All goroutines are blocked, so nothing is locked.
func (z *fuzzer) check() {
	d := z.d
	if d.live > fuzzConns || len(d.conns) > d.live || d.sched.count > maxResets {
		z.t.Errorf("%d connections in the table, %d live, %d resets", len(d.conns), d.live, d.sched.count)
	}
	for k, c := range d.conns {
		if c.key != k || !c.listed || c.state == stateGone {
			z.t.Errorf("connection %v: key %v, listed %v, state %d", k, c.key, c.listed, c.state)
		}
		z.checkConn(c)
	}
	for _, c := range z.conns {
		z.checkConn(c)
	}
}

func (z *fuzzer) checkConn(c *Conn) {
	chunks, bytes := 0, 0
	for k := c.in.head; k != nil; k = k.next {
		chunks++
		bytes += k.w - k.r
	}
	switch {
	case bytes != c.in.size || c.in.size > MinWindow || chunks > MinWindow/chunkSize+2 || (c.in.size == 0) != (chunks == 0):
		z.t.Errorf("fifo: size %d, %d bytes in %d chunks", c.in.size, bytes, chunks)
	case !c.closed && c.rxCnt-c.fwdCnt != uint32(c.in.size):
		z.t.Errorf("received %d, consumed %d, stored %d", c.rxCnt, c.fwdCnt, c.in.size)
	case c.fwdCnt-c.told > MinWindow || c.rxCnt-c.told > MinWindow:
		z.t.Errorf("received %d, consumed %d, told %d", c.rxCnt, c.fwdCnt, c.told)
	case c.lent || c.in.filling:
		z.t.Errorf("lent %v, filling %v between packets", c.lent, c.in.filling)
	case c.owed != 0 && !c.queued && c.state != stateGone:
		z.t.Errorf("state %d owes %b and is not on the schedule", c.state, c.owed)
	case c.sendable() && c.credit() > 0 && !c.queued:
		z.t.Error("data to send, credit, and not on the schedule")
	}
}

// end lets the guest reboot and the host close everything: nothing may be left.
func (z *fuzzer) end() {
	z.d.down()
	synctest.Wait()
	z.l.Close()
	for _, c := range z.conns {
		c.Close()
	}
	synctest.Wait()
	if z.d.live != 0 || len(z.d.conns) != 0 {
		z.t.Errorf("%d connections left, %d in the table", z.d.live, len(z.d.conns))
	}
	for _, c := range z.conns {
		if c.in.head != nil || c.out != nil {
			z.t.Error("a closed connection holds data")
		}
	}
}

// TestHeader pins the layout of the header [VIRTIO §5.10.6].
func TestHeader(t *testing.T) {
	var h header
	f := fields{
		srcCID: 0x0807060504030201, dstCID: 0x1817161514131211, srcPort: 0x24232221, dstPort: 0x34333231,
		len: 0x44434241, typ: 0x5251, op: 0x6261, flags: 0x74737271, bufAlloc: 0x84838281, fwdCnt: 0x94939291,
	}
	h.set(f)
	want := "0102030405060708" + "1112131415161718" + "21222324" + "31323334" + "41424344" + "5152" + "6162" + "71727374" + "81828384" + "91929394"
	if got := fmt.Sprintf("%x", h[:]); got != want {
		t.Errorf("header\n%s, want\n%s", got, want)
	}
	back := fields{
		srcCID: h.srcCID(), dstCID: h.dstCID(), srcPort: h.srcPort(), dstPort: h.dstPort(), len: h.len(), typ: h.typ(),
		op: h.op(), flags: h.flags(), bufAlloc: h.bufAlloc(), fwdCnt: h.fwdCnt(),
	}
	if back != f {
		t.Errorf("read back %+v, want %+v", back, f)
	}
}

// FuzzFifo compares the receive buffer with a slice.
func FuzzFifo(f *testing.F) {
	f.Add([]byte{0, 200, 1, 10, 0, 255, 1, 255, 1, 255})
	f.Add([]byte{0, 255, 2, 0, 0, 100, 3, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		var pool chunkPool
		q := fifo{pool: &pool}
		model, next := []byte{}, uint32(0)
		for ; len(script) >= 2; script = script[2:] {
			n := int(script[1]) * 173
			switch script[0] % 4 {
			case 0, 3: // 3: the copy fails
				if n == 0 || q.dead {
					continue
				}
				p := make([]byte, n+headerSize)
				for i := range n {
					p[headerSize+i] = byte(next >> (8 * (i & 3)))
					next++
				}
				k, off := q.reserve(n)
				if script[0]%4 == 3 {
					q.commit(0)
					continue
				}
				if err := copyIn(k, off, &memChain{p}, headerSize, n); err != nil {
					t.Fatal(err)
				}
				q.commit(n)
				model = append(model, p[headerSize:]...)
			case 1:
				p := make([]byte, n)
				for got := 0; got < n; {
					m := q.read(p[got:])
					if m == 0 {
						break
					}
					if string(p[got:got+m]) != string(model[:m]) {
						t.Fatal("wrong bytes")
					}
					model = model[m:]
					got += m
				}
			case 2:
				if d := q.discard(); d != len(model) {
					t.Fatalf("discarded %d, want %d", d, len(model))
				}
				model = nil
			}
			if q.size != len(model) || (q.size == 0) != (q.head == nil) {
				t.Fatalf("size %d, want %d; head %p", q.size, len(model), q.head)
			}
		}
	})
}

package agent

import (
	"time"

	"github.com/husk-vm/husk/guest/proto"
)

// control answers requests until the host closes. It sets the clock first, if the hello brings one.
func (a *Agent) control(p *peer, h proto.Hello) error {
	if h.Clock != 0 {
		if err := a.sys.setClock(time.Unix(0, h.Clock)); err != nil {
			a.log.Warn("set clock", "err", err)
		}
	}
	p.c.SetReadDeadline(time.Time{})
	for {
		f, err := p.r.Next()
		if err != nil {
			return err
		}
		if err := a.request(p, f); err != nil {
			return err
		}
	}
}

// request does one request and answers it.
func (a *Agent) request(p *peer, f proto.Frame) error {
	switch f.Type {
	case proto.TypePing:
		return p.answer(nil)
	case proto.TypeClock:
		m, err := proto.DecodeClock(f.Payload)
		if err != nil {
			return err
		}
		return p.answer(a.sys.setClock(time.Unix(0, m.Nanos)))
	case proto.TypeInfoRequest:
		m, err := a.sys.info()
		if err != nil {
			return p.answer(err)
		}
		m.Execs = uint32(a.execs.Load())
		return p.w.Send(proto.TypeInfo, 0, m.Append(nil))
	case proto.TypeShutdown:
		m, err := proto.DecodeShutdown(f.Payload)
		if err != nil {
			return err
		}
		if a.closing.Load() {
			return p.answer(errClosing)
		}
		if err := p.answer(nil); err != nil {
			a.log.Debug("answer", "err", err) // shut down all the same
		}
		return a.shutdown(m)
	}
	return proto.ErrBad
}

// answer sends Done, or err.
func (p *peer) answer(err error) error {
	if err == nil {
		return p.w.Send(proto.TypeDone, 0, nil)
	}
	return p.w.Send(proto.TypeError, 0, wireError(err).Append(nil))
}

// errClosing is the answer to what comes during a shutdown.
var errClosing = &proto.Error{Code: proto.CodeBusy, Text: "shutting down"}

// shutdown ends the guest, once at a time. It returns only if that did not work.
func (a *Agent) shutdown(m proto.Shutdown) error {
	if a.closing.Swap(true) {
		return errClosing
	}
	defer a.closing.Store(false)
	err := a.sys.shutdown(m)
	if err != nil {
		a.log.Error("shutdown", "err", err)
	}
	return err
}

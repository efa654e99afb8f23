package agent

import (
	"time"

	"github.com/husk-vm/husk/guest/proto"
	"github.com/husk-vm/husk/guest/tree"
)

// files copies one tree in or out.
func (a *Agent) files(p *peer) error {
	f, err := p.r.Next()
	if err != nil {
		return err
	}
	if f.Type != proto.TypePut && f.Type != proto.TypeGet {
		return p.refuse(&proto.Error{Code: proto.CodeInvalid, Text: "neither put nor get"})
	}
	at, err := proto.DecodePlace(f.Payload)
	if err != nil {
		return p.refuse(wireError(err))
	}
	p.c.SetReadDeadline(time.Time{})
	<-a.ready
	if f.Type == proto.TypeGet {
		err = tree.Send(p.w, at.Path)
	} else if err = tree.Receive(p.r, at.Path, tree.Limits{}); err == nil {
		err = p.w.Send(proto.TypeDone, 0, nil)
	}
	if err != nil {
		return p.refuse(wireError(err))
	}
	p.linger()
	return nil
}

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/husk-vm/husk/guest/proto"
	"github.com/husk-vm/husk/guest/tree"
)

// anySize is the size of a file whose sender does not know it.
const anySize = 1 << 62

// Put makes the file at name, an absolute path in the guest, with what r gives and the permissions of mode. Directories above it are made as needed.
// The file appears complete or not at all.
func (c *Client) Put(ctx context.Context, name string, mode fs.FileMode, r io.Reader) error {
	return c.put(ctx, name, func(w *proto.Writer) error {
		e := proto.Entry{Kind: proto.KindFile, Mode: uint32(mode.Perm()), Size: anySize, Path: "."}
		if err := w.Send(proto.TypeEntry, 0, e.Append(nil)); err != nil {
			return err
		}
		if err := tree.SendContent(w, r); err != nil {
			return err
		}
		return w.Send(proto.TypeEnd, 0, nil)
	})
}

// PutTree copies the host's file or directory src to name, an absolute path in the guest. Modes, times and symbolic links are kept.
func (c *Client) PutTree(ctx context.Context, src, name string) error {
	return c.put(ctx, name, func(w *proto.Writer) error { return tree.Send(w, src) })
}

// put runs one copy into the guest. The answer is read while send sends: an agent that refuses stops reading.
func (c *Client) put(ctx context.Context, name string, send func(*proto.Writer) error) error {
	p, err := c.files(ctx, proto.TypePut, name)
	if err != nil {
		return wrap("put", name, err)
	}
	defer p.c.Close()
	answered := make(chan error, 1)
	go func() {
		_, err := p.answer(proto.TypePut)
		if err != nil {
			p.c.Close() // wakes send
		}
		answered <- err
	}()
	err = p.guard(ctx, func() error {
		serr := send(p.w)
		if serr == nil {
			return <-answered
		}
		if p.w.Err() == nil {
			return serr // it could not read what to send
		}
		select { // the agent's reason comes before the broken pipe that it caused
		case aerr := <-answered:
			if _, ok := errors.AsType[*proto.Error](aerr); ok {
				return aerr
			}
		case <-time.After(answerDelay):
		}
		return serr
	})
	return wrap("put", name, err)
}

// answerDelay is how long a refusal may take to arrive after the connection refused data.
const answerDelay = time.Second

// Get copies the regular file at name, an absolute path in the guest, to w. How much w takes is its own concern.
func (c *Client) Get(ctx context.Context, name string, w io.Writer) error {
	p, err := c.files(ctx, proto.TypeGet, name)
	if err != nil {
		return wrap("get", name, err)
	}
	defer p.c.Close()
	return wrap("get", name, p.guard(ctx, func() error {
		f, err := p.r.Next()
		if err != nil {
			return err
		}
		if f.Type == proto.TypeError {
			return tree.PeerError(f.Payload)
		}
		if f.Type != proto.TypeEntry {
			return fmt.Errorf("frame type %d for a file: %w", f.Type, proto.ErrBad)
		}
		e, err := proto.DecodeEntry(f.Payload)
		if err != nil {
			return err
		}
		if e.Kind != proto.KindFile || e.Path != "." {
			return errors.New("not a regular file")
		}
		return tree.ReceiveContent(p.r, w, e.Size)
	}))
}

// GetTree copies the guest's file or directory name to dst on the host, up to lim. Nothing is written outside dst, and links that
// point out of it are refused.
func (c *Client) GetTree(ctx context.Context, name, dst string, lim Limits) error {
	p, err := c.files(ctx, proto.TypeGet, name)
	if err != nil {
		return wrap("get", name, err)
	}
	defer p.c.Close()
	lim.Inside = true
	return wrap("get", name, p.guard(ctx, func() error { return tree.Receive(p.r, dst, lim) }))
}

// files opens a connection for one copy.
func (c *Client) files(ctx context.Context, t proto.Type, name string) (*peer, error) {
	if !path.IsAbs(name) || len(name) > proto.MaxPath {
		return nil, errors.New("not an absolute path")
	}
	return c.open(ctx, proto.RoleFiles, proto.AppendFrame(nil, t, 0, 0, proto.Place{Path: path.Clean(name)}.Append(nil)))
}

package agent

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/husk-vm/husk/guest/proto"
	"github.com/husk-vm/husk/guest/tree"
)

// wireError turns an error into the message that tells the host.
func wireError(err error) *proto.Error {
	if e, ok := errors.AsType[*proto.Error](err); ok {
		return e
	}
	e := &proto.Error{Text: err.Error()}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		e.Errno = uint32(errno)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Code = proto.CodeNotFound
	case errors.Is(err, fs.ErrPermission):
		e.Code = proto.CodePermission
	case errors.Is(err, fs.ErrExist):
		e.Code = proto.CodeExists
	case errors.Is(err, tree.ErrLimit):
		e.Code = proto.CodeLimit
	case errors.Is(err, proto.ErrBad):
		e.Code = proto.CodeInvalid
	}
	return e
}

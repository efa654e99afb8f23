package hostos

import (
	"fmt"
	"os"
)

// InheritedFile takes over a descriptor that the parent process left open for this one. It is not passed on to children.
func InheritedFile(fd int, name string) (*os.File, error) {
	if err := adopt(fd); err != nil {
		return nil, fmt.Errorf("inherited descriptor %d: %w", fd, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

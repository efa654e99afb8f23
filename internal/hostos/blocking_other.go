//go:build !unix

package hostos

import "os"

// SetBlocking has nothing to do here: files block.
func SetBlocking(*os.File) error { return nil }

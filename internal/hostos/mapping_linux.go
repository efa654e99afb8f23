package hostos

import "golang.org/x/sys/unix"

func mapAnonymous(n int) ([]byte, error) {
	// MAP_NORESERVE: a guest may be promised more RAM than the host has free, as long as it does not touch it.
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	// Guest RAM in a core dump is large, and somebody's secret. Kernels built without the advice are no reason to fail.
	_ = unix.Madvise(mem, unix.MADV_DONTDUMP)
	return mem, nil
}

func discard(p []byte) error { return unix.Madvise(p, unix.MADV_DONTNEED) }

func unmap(mem []byte) error { return unix.Munmap(mem) }

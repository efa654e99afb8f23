package hostos

import "golang.org/x/sys/unix"

func mapAnonymous(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
}

// discard clears by hand: MADV_DONTNEED is a hint on Darwin and keeps the contents, MADV_FREE_REUSABLE keeps them for a
// while, and mapping anew under a hypervisor's feet is not allowed. The pages stay committed.
func discard(p []byte) error {
	clear(p)
	return unix.Madvise(p, unix.MADV_FREE)
}

func unmap(mem []byte) error { return unix.Munmap(mem) }

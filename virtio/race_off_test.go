//go:build !race

package virtio_test

const stride = 1

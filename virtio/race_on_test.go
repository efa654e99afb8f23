//go:build race

package virtio_test

// stride thins out exhaustive tests: under the race detector every value would take minutes.
const stride = 97

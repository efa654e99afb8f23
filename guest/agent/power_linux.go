package agent

import (
	"encoding/binary"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// An input event [linux Documentation/input/input.rst §4.3], on a 64-bit machine:
//
//	 0         8         16     18     20      24
//	+---------+---------+------+------+-------+
//	| seconds | micros  | type | code | value |
//	+---------+---------+------+------+-------+
const (
	eventSize  = 24
	evKey      = 1   // EV_KEY, linux include/uapi/linux/input-event-codes.h
	keyPower   = 116 // KEY_POWER
	keyRestart = 0x198
)

// watchKeys reads input events until r fails and calls press when a power key goes down.
func watchKeys(r io.Reader, press func(key uint16)) {
	var ev [eventSize]byte
	for {
		if _, err := io.ReadFull(r, ev[:]); err != nil {
			return
		}
		typ, code := binary.LittleEndian.Uint16(ev[16:]), binary.LittleEndian.Uint16(ev[18:])
		if typ == evKey && (code == keyPower || code == keyRestart) && binary.LittleEndian.Uint32(ev[20:]) == 1 {
			press(code)
		}
	}
}

// watchPower calls press when a power button is pressed. Without a daemon for it, the kernel's ACPI button driver only makes
// an input event [linux drivers/acpi/button.c]. The goroutines live as long as the guest.
func watchPower(log *slog.Logger, press func(key uint16)) {
	var once sync.Once
	names, err := filepath.Glob("/dev/input/event*")
	if err != nil || len(names) == 0 {
		log.Debug("no input devices: power button ignored")
	}
	for _, name := range names {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			log.Warn("power button", "device", name, "err", err)
			continue
		}
		f := os.NewFile(uintptr(fd), name)
		if !isButton(filepath.Base(name)) {
			f.Close()
			continue
		}
		log.Debug("power button", "device", name)
		go func() {
			defer f.Close()
			watchKeys(f, func(key uint16) { once.Do(func() { press(key) }) })
		}()
	}
}

// isButton reports whether an input device can press the power key: the agent does not read keyboards and mice.
func isButton(event string) bool {
	b, err := os.ReadFile("/sys/class/input/" + event + "/device/capabilities/key")
	return err == nil && hasBit(string(b), keyPower)
}

// hasBit looks a bit up in a bitmap of sysfs: hexadecimal 64-bit words, the highest first, without leading zeros.
func hasBit(bitmap string, bit int) bool {
	words := strings.Fields(bitmap)
	i := len(words) - 1 - bit/64
	if i < 0 {
		return false
	}
	var v uint64
	for _, c := range words[i] {
		d := strings.IndexRune("0123456789abcdef", c)
		if d < 0 {
			return false
		}
		v = v<<4 | uint64(d)
	}
	return v>>(bit%64)&1 != 0
}

package devicestest

import (
	"sync"

	"github.com/husk-vm/husk/devices"
)

// Line is a devices.Line that remembers. The zero value is low. Any goroutine may call its methods.
type Line struct {
	mu    sync.Mutex
	high  bool // guarded by mu
	rises int  // guarded by mu
}

var _ devices.Line = (*Line)(nil)

// Set implements devices.Line.
func (l *Line) Set(high bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if high && !l.high {
		l.rises++
	}
	l.high = high
}

// High is the present level.
func (l *Line) High() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.high
}

// Rises is how often the line went from low to high.
func (l *Line) Rises() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rises
}

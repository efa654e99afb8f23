package virtiotest

import (
	"errors"
	"sync"

	"github.com/husk-vm/husk/devices"
)

// MSIs makes vectors whose messages arrive at a function. It implements devices.Interrupts and counts what is asked of it.
type MSIs struct {
	Deliver func(devices.MSI) // gets every message; must be safe for many goroutines
	Limit   int               // NewMSI fails beyond that many, 0 means no limit

	mu     sync.Mutex
	made   int // guarded by mu
	open   int // guarded by mu
	routes int // guarded by mu
}

// NewMSI makes a vector.
func (m *MSIs) NewMSI() (devices.MSIVector, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Limit > 0 && m.made >= m.Limit {
		return nil, errors.New("no more vectors")
	}
	m.made++
	m.open++
	return &msiVector{m: m}, nil
}

// Made, Open and Routes count vectors made, vectors not closed, and calls of Route.
func (m *MSIs) Made() int { return m.get(&m.made) }

// Open is the number of vectors that were not closed.
func (m *MSIs) Open() int { return m.get(&m.open) }

// Routes is the number of calls of Route.
func (m *MSIs) Routes() int { return m.get(&m.routes) }

func (m *MSIs) get(n *int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return *n
}

// msiVector implements devices.MSIVector.
type msiVector struct {
	m      *MSIs
	mu     sync.Mutex
	msg    devices.MSI // guarded by mu
	routed bool        // guarded by mu
	closed bool        // guarded by mu
}

func (v *msiVector) Route(msg devices.MSI) error {
	v.m.mu.Lock()
	v.m.routes++
	v.m.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.msg, v.routed = msg, true
	return nil
}

func (v *msiVector) Raise() {
	v.mu.Lock()
	msg, ok := v.msg, v.routed && !v.closed
	v.mu.Unlock()
	if ok && v.m.Deliver != nil {
		v.m.Deliver(msg)
	}
}

func (v *msiVector) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		return errors.New("vector closed twice")
	}
	v.closed = true
	v.m.mu.Lock()
	v.m.open--
	v.m.mu.Unlock()
	return nil
}

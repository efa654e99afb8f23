package kvm

import "testing"

func TestEmulated(t *testing.T) {
	for _, tt := range []struct {
		name         string
		kernel, user float64
		want         bool
	}{
		{"hardware", 4e9, 4e9, false},
		{"nested in an emulator", 366e6, 383e6, false},
		{"nested in an emulator, very busy host", 25e6, 295e6, false},
		{"kernel mode emulated", 1.4e6, 6e9, true},
		{"kernel mode emulated, busy host", 0.6e6, 200e6, true},
		{"a fast emulation", 50e6, 6e9, true},
		{"all of it slow", 2e6, 2e6, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := emulated(tt.kernel, tt.user); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

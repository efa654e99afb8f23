package vmm

import (
	"errors"
	"strings"
	"testing"
)

// memDisk is a DiskBackend of no size.
type memDisk struct{ DiskBackend }

func TestResolved(t *testing.T) {
	kernel := strings.NewReader("kernel")
	for _, tt := range []struct {
		name string
		cfg  Config
		want string // "" means good
	}{
		{"defaults", Config{Boot: Linux{Kernel: kernel}}, ""},
		{"nothing to boot", Config{}, "Boot is required"},
		{"no kernel", Config{Boot: Linux{}}, "no Kernel"},
		{"disk without back end", Config{Boot: Linux{Kernel: kernel}, Disks: []Disk{{}}}, "disk 0 has no Backend"},
		{"long serial", Config{Boot: Linux{Kernel: kernel}, Disks: []Disk{{Backend: memDisk{}, Serial: strings.Repeat("s", 21)}}}, "longer than 20"},
		{"many queues", Config{Boot: Linux{Kernel: kernel}, Disks: []Disk{{Backend: memDisk{}, Queues: 65}}}, "queues"},
		{"reserved CID", Config{Boot: Linux{Kernel: kernel}, VsockCID: 2}, "reserved"},
		{"broadcast CID", Config{Boot: Linux{Kernel: kernel}, VsockCID: 1<<32 - 1}, "reserved"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := tt.cfg.resolved()
			if tt.want != "" {
				if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want an ErrConfig with %q", err, tt.want)
				}
				return
			}
			if err != nil || got.CPUs != DefaultCPUs || got.MemoryBytes != DefaultMemoryBytes || got.VsockCID != 3 || got.Name != "husk" || got.Log == nil {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestResolvedLeavesConfigAlone makes sure that defaults do not leak into the caller's slices.
func TestResolvedLeavesConfigAlone(t *testing.T) {
	disks := []Disk{{Backend: memDisk{}}}
	got, _, err := Config{CPUs: 3, Boot: Linux{Kernel: strings.NewReader("k")}, Disks: disks}.resolved()
	if err != nil || got.Disks[0].Queues != 3 {
		t.Errorf("got %+v, %v", got.Disks, err)
	}
	if disks[0].Queues != 0 {
		t.Error("the caller's disk was changed")
	}
}

func TestNames(t *testing.T) {
	for r := Closed; r <= Failed; r++ {
		if s := r.String(); s == "" || strings.HasPrefix(s, "reason ") {
			t.Errorf("reason %d has no name", r)
		}
	}
	for s := StageBuilt; s <= StageVsock; s++ {
		if n := s.String(); n == "" || strings.HasPrefix(n, "stage ") {
			t.Errorf("stage %d has no name", s)
		}
	}
}

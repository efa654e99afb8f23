package devices_test

import (
	"errors"
	"testing"

	"github.com/husk-vm/husk/devices"
	"github.com/husk-vm/husk/devices/devicestest"
)

func TestChannelDoorbell(t *testing.T) {
	devicestest.Doorbell(t, func(t *testing.T) devices.Doorbell { return devices.NewChannelDoorbell() })
}

func TestChannelDoorbellsDoNotAttach(t *testing.T) {
	var ds devices.ChannelDoorbells
	d, err := ds.NewDoorbell()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ds.Attach(d, 0xfe000000); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("Attach = %v, want ErrUnsupported", err)
	}
}

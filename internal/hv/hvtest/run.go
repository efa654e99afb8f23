package hvtest

import (
	"testing"

	"github.com/husk-vm/husk/internal/hv"
)

// Options say what a back end cannot do, so that tests which need it skip with the reason.
type Options struct {
	// Slow says that kernel-mode guest code runs at about a million instructions a second, or is emulated in a way that
	// is not faithful. Guests that loop for long, or need what such emulators lack, are left out.
	Slow bool
}

// conformance is one promise of internal/hv.
type conformance struct {
	name string
	fast bool // not for slow back ends
	test func(t *testing.T, b hv.Backend)
}

var suite = []conformance{
	{"probe", false, testProbe},
	{"modes", false, testModes},
	{"exception", false, testException},
	{"triple fault", false, testTripleFault},
	{"exchange of 16 bytes", true, testExchange16},
	{"long loop", true, testLongLoop},
	{"registers", false, testRegisters},
	{"cpuid", false, testCPUID},
	{"msrs", false, testMSRs},
	{"ports in", false, testPortsIn},
	{"string ports", false, testStringPorts},
	{"mmio", false, testMMIO},
	{"mmio across pages", false, testMMIOAcrossPages},
	{"unmapped read", false, testUnmappedRead},
	{"settle", false, testSettle},
	{"two regions", false, testTwoRegions},
	{"dirty log", false, testDirtyLog},
	{"doorbell", false, testDoorbell},
	{"doorbell close", false, testDoorbellClose},
	{"msi", false, testMSI},
	{"msi wakes halt", false, testMSIWakesHalt},
	{"irq", false, testIRQ},
	{"ioapic eoi", false, testIOAPICEOI},
	{"start processor", false, testStartProcessor},
	{"kick before run", false, testKickBeforeRun},
	{"kick halted", false, testKickHalted},
	{"kick spinning", false, testKickSpinning},
	{"kick and settle", false, testKickAndSettle},
	{"kick after close", false, testKickAfterClose},
	{"kick under port storm", false, testKickUnderPortStorm},
	{"kick under mmio storm", false, testKickUnderMMIOStorm},
	{"clock", false, testClock},
	{"two vms", false, testTwoVMs},
	{"posted ports", false, testPostedPorts},
	{"posted mmio", false, testPostedMMIO},
	{"posted beside its registers", false, testPostedBeside},
	{"posted until full", false, testPostedUntilFull},
	{"posted, then kicked", false, testPostedKicked},
	{"posted by two", false, testPostedByTwo},
	{"refusals", false, testRefusals},
	{"start and stop", false, testStartAndStop},
}

// Run holds a back end against everything that internal/hv promises. open is called once for every test and skips or
// fails by itself.
func Run(t *testing.T, open func(t *testing.T) hv.Backend, o Options) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			if c.fast && o.Slow {
				t.Skip("this back end runs kernel-mode code too slowly, or emulates it without this feature")
			}
			c.test(t, open(t))
		})
	}
}

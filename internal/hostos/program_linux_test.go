package hostos

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCleanMappings(t *testing.T) {
	const text = `00400000-006d7000 r-xp 00000000 00:18 42      /bin/a husk
Size:               2908 kB
Anonymous:             0 kB
006d7000-018d0000 r--p 002d7000 00:18 42        /bin/a husk
Anonymous:             4 kB
018d0000-018d8000 r--p 014d0000 00:18 42        /bin/a husk
Anonymous:             0 kB
018d8000-018f8000 rw-p 014d0000 00:18 42        /bin/a husk
Anonymous:             0 kB
018f8000-01900000 r--s 014d0000 00:18 42        /bin/a husk
Anonymous:             0 kB
02000000-02001000 r--p 00000000 00:18 43        /lib/other
Anonymous:             0 kB
03000000-03001000 r--p 00000000 00:00 0
Anonymous:             0 kB
`
	want := []span{{0x400000, 0x2d7000}, {0x18d0000, 0x8000}}
	if got := cleanMappings(strings.NewReader(text), "/bin/a husk"); !reflect.DeepEqual(got, want) {
		t.Errorf("%#x, want %#x", got, want)
	}
}

// TestReleaseProgram asks the kernel which pages of this program are in its memory, before and after.
func TestReleaseProgram(t *testing.T) {
	before := fileRSS(t)
	if err := ReleaseProgram(); err != nil {
		t.Fatal(err)
	}
	after := fileRSS(t)
	t.Logf("%d KiB of files in memory before, %d after", before>>10, after>>10)
	if after >= before {
		t.Errorf("%d bytes of files in memory before, %d after", before, after)
	}
}

// fileRSS is how much of files is mapped and present, in bytes.
func fileRSS(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm") // size resident shared ..., in pages; "shared" are those of files
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b))
	if len(f) < 3 {
		t.Fatalf("statm: %q", b)
	}
	n := 0
	for _, d := range f[2] {
		n = n*10 + int(d-'0')
	}
	return n * unix.Getpagesize()
}

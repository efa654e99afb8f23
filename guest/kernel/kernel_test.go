package kernel

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"testing"
)

// TestImageDigest holds that the embedded image is the one the checksum file names.
func TestImageDigest(t *testing.T) {
	h := sha256.New()
	n, err := io.Copy(h, Image())
	if err != nil {
		t.Fatal(err)
	}
	if n != Image().Size() {
		t.Errorf("read %d bytes, Size is %d", n, Image().Size())
	}
	sums, err := os.ReadFile("SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	want, name, _ := strings.Cut(strings.TrimSpace(string(sums)), "  ")
	if got := hex.EncodeToString(h.Sum(nil)); name != "bzImage" || got != want {
		t.Errorf("sha256 %s, SHA256SUMS says %s of %s", got, want, name)
	}
}

// TestImageHeader holds what loaders rely on [LINUX-BOOT "The Real-Mode Kernel Header"].
func TestImageHeader(t *testing.T) {
	h := make([]byte, 64*512) // setup_sects is at most 64
	if _, err := Image().ReadAt(h, 0); err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	if got := string(h[0x202:0x206]); got != "HdrS" {
		t.Fatalf("header magic %q", got)
	}
	if v := le.Uint16(h[0x206:]); v < 0x020f {
		t.Errorf("boot protocol %#x, want 2.15 or later", v)
	}
	const loadedHigh = 1 << 0 // LOADED_HIGH
	if f := h[0x211]; f&loadedHigh == 0 {
		t.Errorf("loadflags %#x: not a bzImage", f)
	}
	if h[0x234] == 0 {
		t.Error("relocatable_kernel is 0")
	}
	const kernel64, above4G = 1 << 0, 1 << 1 // XLF_KERNEL_64, XLF_CAN_BE_LOADED_ABOVE_4G
	if x := le.Uint16(h[0x236:]); x&(kernel64|above4G) != kernel64|above4G {
		t.Errorf("xloadflags %#x: no 64-bit entry", x)
	}
	version := h[0x200+int(le.Uint16(h[0x20e:])):]
	version = version[:bytes.IndexByte(version, 0)]
	if want := Release + " (husk@husk) #1 SMP "; !strings.HasPrefix(string(version), want) {
		t.Errorf("version %q, want %q…", version, want)
	}
	// The compressed kernel: LZ4's legacy frame, which is what linux scripts/Makefile.lib makes with `lz4 -l`.
	setup := (int64(h[0x1f1]) + 1) * 512
	payload, length := int64(le.Uint32(h[0x248:])), int64(le.Uint32(h[0x24c:]))
	if setup+payload+length > Image().Size() {
		t.Fatalf("payload of %d bytes at %d: beyond the image's %d", length, setup+payload, Image().Size())
	}
	var magic [4]byte
	if _, err := Image().ReadAt(magic[:], setup+payload); err != nil || le.Uint32(magic[:]) != 0x184c2102 {
		t.Errorf("payload starts with %x, %v; want LZ4's legacy magic", magic, err)
	}
}

// TestImagesAreApart holds that two users of the image do not see each other.
func TestImagesAreApart(t *testing.T) {
	a, b := Image(), Image()
	if _, err := a.Seek(100, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if at, err := b.Seek(0, io.SeekCurrent); err != nil || at != 0 {
		t.Errorf("the other reader is at %d, %v", at, err)
	}
}

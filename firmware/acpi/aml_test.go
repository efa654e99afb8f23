package acpi

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// TestTerms shows each encoding beside the ASL it stands for. The bytes are those of iasl 20200925.
func TestTerms(t *testing.T) {
	for _, tt := range []struct {
		asl  string
		got  term
		want string
	}{
		{`Zero`, integer(0), "00"},
		{`One`, integer(1), "01"},
		{`2`, integer(2), "0a 02"},
		{`0xFF`, integer(0xff), "0a ff"},
		{`0x100`, integer(0x100), "0b 00 01"},
		{`0xFFFF`, integer(0xffff), "0b ff ff"},
		{`0x10000`, integer(0x10000), "0c 00 00 01 00"},
		{`0xFFFFFFFF`, integer(0xffffffff), "0c ff ff ff ff"},
		{`0x100000000`, integer(1 << 32), "0e 00 00 00 00 01 00 00 00"},
		{`Ones`, integer(1<<64 - 1), "ff"},
		{`"HUSK"`, text("HUSK"), "0d 48 55 53 4b 00"},
		{`""`, text(""), "0d 00"},
		{`FOO`, path("FOO"), "46 4f 4f 5f"},
		{`\A`, path(`\A`), "5c 41 5f 5f 5f"},
		{`^^A1`, path("^^A1"), "5e 5e 41 31 5f 5f"},
		{`\_SB.PCI0`, path(`\_SB.PCI0`), "5c 2e 5f 53 42 5f 50 43 49 30"},
		{`A.B.C`, path("A.B.C"), "2f 03 41 5f 5f 5f 42 5f 5f 5f 43 5f 5f 5f"},
		{`EisaId ("PNP0A08")`, eisaID("PNP0A08"), "0c 41 d0 0a 08"},
		{`EisaId ("PNP0C0C")`, eisaID("PNP0C0C"), "0c 41 d0 0c 0c"},
		{`ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766")`, uuid("33db4d5b-1ff7-401c-9657-7441c03dd766"), "11 13 0a 10 5b 4d db 33 f7 1f 1c 40 96 57 74 41 c0 3d d7 66"},
		{`Buffer (2) {3, 4}`, buffer([]byte{3, 4}), "11 05 0a 02 03 04"},
		{`Package (2) {Zero, 5}`, pack(integer(0), integer(5)), "12 05 02 00 0a 05"},
		{`Name (A, One)`, name("A", integer(1)), "08 41 5f 5f 5f 01"},
		{`Scope (\A) {}`, scope(`\A`), "10 06 5c 41 5f 5f 5f"},
		{`Device (A) {}`, device("A"), "5b 82 05 41 5f 5f 5f"},
		{`Method (A, 2, Serialized) {Return (Arg1)}`, method("A", 2, serialized, ret(arg(1))), "14 08 41 5f 5f 5f 0a a4 69"},
		{`OperationRegion (A, SystemIO, 0x604, 1)`, operationRegion("A", spaceIO, 0x604, 1), "5b 80 41 5f 5f 5f 01 0b 04 06 01"},
		{`Field (A, ByteAcc, NoLock, WriteAsZeros) {B, 8, , 120, C, 1}`, byteFields("A", fieldUnit{"B", 8}, fieldUnit{"", 120}, fieldUnit{"C", 1}), "5b 81 13 41 5f 5f 5f 41 42 5f 5f 5f 08 00 48 07 43 5f 5f 5f 01"},
		{`CreateDWordField (Arg3, 8, A)`, createDWordField(arg(3), 8, "A"), "8a 6b 0a 08 41 5f 5f 5f"},
		{`Store (A, Local0)`, store(path("A"), local(0)), "70 41 5f 5f 5f 60"},
		{`And (Local0, 3, Local1)`, and(local(0), integer(3), local(1)), "7b 60 0a 03 61"},
		{`Or (Local0, 3)`, or(local(0), integer(3), nowhere()), "7d 60 0a 03 00"},
		{`If (LNotEqual (Arg0, One)) {Return (Zero)}`, when(not(equal(arg(0), integer(1))), ret(integer(0))), "a0 07 92 93 68 01 a4 00"},
		{`Notify (\A, 0x80)`, notify(`\A`, 0x80), "86 5c 41 5f 5f 5f 0a 80"},
	} {
		t.Run(tt.asl, func(t *testing.T) { wantBytes(t, tt.got, tt.want) })
	}
}

func TestResources(t *testing.T) {
	for _, tt := range []struct {
		asl  string
		got  []byte
		want string
	}{
		{"ResourceTemplate () {}", resourceTemplate(), "11 05 0a 02 79 00"},
		{"IO (Decode16, 0x3F8, 0x3F8, 1, 8)", ioPorts(0x3f8, 8), "47 01 f8 03 f8 03 01 08"},
		{"FixedIO (0x70, 2)", fixedIO(0x70, 2), "4b 70 00 02"},
		{"Memory32Fixed (ReadWrite, 0xE0000000, 0x100000)", memory32Fixed(0xe0000000, 0x100000), "86 09 00 01 00 00 00 e0 00 00 10 00"},
		{"Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {9}", interrupt(levelHigh, 9), "89 06 00 01 01 09 00 00 00"},
		{"Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) {4}", interrupt(edgeHigh, 4), "89 06 00 03 01 04 00 00 00"},
		{"WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 255, 0, 256)", wordBusNumber(0, 255), "88 0d 00 02 0c 00 00 00 00 00 ff 00 00 00 00 01"},
		{"DWordMemory (..., 0xC0000000, 0xFFFFFFFF, 0, 0x40000000)", dwordMemory(0xc0000000, 0x40000000), "87 17 00 00 0c 01 00 00 00 00 00 00 00 c0 ff ff ff ff 00 00 00 00 00 00 00 40"},
		{"QWordMemory (..., 0x8000000000, 0x80FFFFFFFF, 0, 0x100000000)", qwordMemory(0x8000000000, 1<<32), "8a 2b 00 00 0c 01 00 00 00 00 00 00 00 00 00 00 00 00 80 00 00 00 ff ff ff ff 80 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00"},
	} {
		t.Run(tt.asl, func(t *testing.T) { wantBytes(t, tt.got, tt.want) })
	}
}

func wantBytes(t *testing.T, got []byte, want string) {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(want, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b) {
		t.Errorf("got  % x\nwant % x", got, b)
	}
}

// TestPkgLength walks over the sizes at which the encoding grows.
func TestPkgLength(t *testing.T) {
	for _, tt := range []struct {
		body int
		want string // PkgLength, which counts itself
	}{
		{0, "01"},
		{62, "3f"},
		{63, "41 04"},
		{64, "42 04"},
		{0xfff - 2, "4f ff"},
		{0xfff - 1, "81 00 01"},
		{0xfffff - 3, "8f ff ff"},
		{0xfffff - 2, "c1 00 00 01"},
	} {
		got := packed(make(term, tt.body))
		wantBytes(t, got[:len(got)-tt.body], tt.want)
	}
	wantBytes(t, pkgLength(pkgLengthMax-1), "cf ff ff ff")
}

// TestPackedDecodes holds every size around the boundaries to the definition: the decoded length is the whole length.
func TestPackedDecodes(t *testing.T) {
	for _, around := range []int{0, 1 << 6, 1 << 12, 1 << 20} {
		for body := max(0, around-8); body < around+8; body++ {
			got := packed(make(term, body))
			n := int(got[0] & 0x3f)
			if follow := int(got[0] >> 6); follow > 0 {
				n = int(got[0] & 0xf)
				for i := range follow {
					n |= int(got[1+i]) << (4 + 8*i)
				}
			}
			if n != len(got) {
				t.Errorf("body of %d bytes: length says %d, is %d", body, n, len(got))
			}
		}
	}
}

// TestBugs has the encoder refuse what AML cannot say.
func TestBugs(t *testing.T) {
	for name, f := range map[string]func(){
		"segment too long":  func() { path("ABCDE") },
		"empty segment":     func() { path("A..B") },
		"lower case":        func() { path("abc") },
		"digit first":       func() { path("1ABC") },
		"text with NUL":     func() { text("a\x00b") },
		"text beyond ASCII": func() { text("ä") },
		"EISA id":           func() { eisaID("PNP0A0") },
		"EISA digit":        func() { eisaID("PNP0A0G") },
		"UUID":              func() { uuid("33db4d5b") },
		"package too long":  func() { pack(make([]term, 256)...) },
		"length of 256 MiB": func() { pkgLength(pkgLengthMax) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if r := recover(); r == nil || !strings.HasPrefix(r.(string), "BUG: acpi: ") {
					t.Errorf("recovered %v", r)
				}
			}()
			f()
		})
	}
}

package lab

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

// TestFrameBytes pins the wire format: a machine and a client of different builds refuse each other by identity, but
// a change here is a change of protocol all the same.
func TestFrameBytes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		typ     frameType
		payload []byte
		hex     string
	}{
		{"empty", frameReady, nil, "2000000000"},
		{"signal", frameSignal, []byte{2}, "040100000002"},
		{"credit", frameCredit, creditPayload(0x1234), "120400000034120000"},
		{"output", frameStdout, []byte("hi\n"), "100300000068690a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var buf bytes.Buffer
			if err := writeFrame(&buf, tt.typ, tt.payload); err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(buf.Bytes()); got != tt.hex {
				t.Errorf("encoded %s, want %s", got, tt.hex)
			}
			f, err := readFrame(&buf)
			if err != nil || f.typ != tt.typ || !bytes.Equal(f.payload, tt.payload) {
				t.Errorf("decoded %v %q, %v", f.typ, f.payload, err)
			}
		})
	}
}

func TestReadFrameErrors(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     error
	}{
		{"end", "", io.EOF},
		{"in header", "\x10\x01", io.ErrUnexpectedEOF},
		{"no payload", "\x10\x01\x00\x00\x00", io.ErrUnexpectedEOF},
		{"in payload", "\x10\x02\x00\x00\x00a", io.ErrUnexpectedEOF},
		{"unknown type", "\x00\x00\x00\x00\x00", errFrame},
		{"between types", "\x0f\x00\x00\x00\x00", errFrame},
		{"too long", "\x10\x01\x00\x40\x00", errFrame},
		{"far too long", "\x10\xff\xff\xff\xff", errFrame},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := readFrame(strings.NewReader(tt.in)); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestCredit(t *testing.T) {
	for _, tt := range []struct {
		payload []byte
		n       int
		ok      bool
	}{
		{creditPayload(0), 0, true},
		{creditPayload(stdinWindow), stdinWindow, true},
		{creditPayload(stdinWindow + 1), 0, false},
		{[]byte{1, 2, 3}, 0, false},
		{nil, 0, false},
	} {
		n, err := frame{typ: frameCredit, payload: tt.payload}.credit()
		if n != tt.n || (err == nil) != tt.ok {
			t.Errorf("credit(%x) = %d, %v", tt.payload, n, err)
		}
	}
}

func TestRequestCheck(t *testing.T) {
	good := request{Args: []string{"true"}, Dir: "/"}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []request{
		{Dir: "/"},
		{Args: []string{""}, Dir: "/"},
		{Args: []string{"true"}},
		{Args: []string{"true"}, Dir: "here"},
		{Args: []string{"true"}, Dir: "/", Writable: []string{""}},
	} {
		if bad.check() == nil {
			t.Errorf("%+v passes", bad)
		}
	}
	got := request{}
	if err := decodeJSON(encodeJSON(good), &got); err != nil || !reflect.DeepEqual(got, good) {
		t.Errorf("round trip: %+v, %v", got, err)
	}
}

// FuzzReadFrame holds that whatever is read as frames is what writing those frames gives.
func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("\x20\x00\x00\x00\x00\x10\x03\x00\x00\x00hi\n"))
	f.Add([]byte("\x04\x01\x00\x00\x00\x02\x05\x00\x00\x00\x00"))
	f.Add([]byte("\x10\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		var out bytes.Buffer
		for {
			before := r.Len()
			fr, err := readFrame(r)
			if err != nil {
				if before == 0 && err != io.EOF {
					t.Fatalf("at the end: %v", err)
				}
				return
			}
			out.Reset()
			if err := writeFrame(&out, fr.typ, fr.payload); err != nil {
				t.Fatal(err)
			}
			consumed := in[len(in)-before : len(in)-r.Len()]
			if !bytes.Equal(out.Bytes(), consumed) {
				t.Fatalf("read %x, wrote %x", consumed, out.Bytes())
			}
		}
	})
}

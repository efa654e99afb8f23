package lab

import (
	"errors"
	"flag"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseOptions(t *testing.T) {
	def := options{root: "/", memoryMiB: defaultMemoryMiB, idle: defaultIdle, life: defaultLife, boot: defaultBoot}
	with := func(change func(*options)) options {
		o := def
		change(&o)
		return o
	}
	here, err := filepath.Abs("out")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, line string
		want       options
		err        error
	}{
		{"command", "-- ls -l", with(func(o *options) { o.command, o.args = true, []string{"ls", "-l"} }), nil},
		{"command called stop", "-- stop", with(func(o *options) { o.command, o.args = true, []string{"stop"} }), nil},
		{"its own dashes", "-- sh -- x", with(func(o *options) { o.command, o.args = true, []string{"sh", "--", "x"} }), nil},
		{"sub-command", "stop", with(func(o *options) { o.args = []string{"stop"} }), nil},
		{"no dashes", "ls -l", with(func(o *options) { o.args = []string{"ls", "-l"} }), nil},
		{"dashes too late", "ls -- x", with(func(o *options) { o.args = []string{"ls", "--", "x"} }), nil},
		{"shape", "--smp2 --memory 4096 --idle 1s -- true", with(func(o *options) {
			o.smp2, o.memoryMiB, o.idle, o.command, o.args = true, 4096, time.Second, true, []string{"true"}
		}), nil},
		{"writable", "--rw out --rw /x -- true", with(func(o *options) {
			o.writable, o.command, o.args = []string{here, "/x"}, true, []string{"true"}
		}), nil},
		{"nothing", "", def, errUsage},
		{"dashes only", "--", def, errUsage},
		{"little memory", "--memory 64 -- true", def, errUsage},
		{"no idle time", "--idle 0s -- true", def, errUsage},
		{"unknown", "--nonsense", def, errUsage},
		{"help", "--help", def, flag.ErrHelp},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			got, err := parseOptions(append([]string{"kvmlab"}, strings.Fields(tt.line)...), &out)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil {
				if out.Len() == 0 {
					t.Error("nothing was printed")
				}
				return
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("options %+v\nwant    %+v", got, tt.want)
			}
		})
	}
}

func TestEnv(t *testing.T) {
	env := []string{"A=1", "B=2", "A=3", "AB=4"}
	if got := getEnv(env, "A"); got != "3" {
		t.Errorf("A is %q", got)
	}
	if got := getEnv(env, "C"); got != "" {
		t.Errorf("C is %q", got)
	}
	if got, want := setEnv(env, "A", "5"), []string{"B=2", "AB=4", "A=5"}; !reflect.DeepEqual(got, want) {
		t.Errorf("setEnv: %q, want %q", got, want)
	}
}

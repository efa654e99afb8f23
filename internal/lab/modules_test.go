package lab

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

const (
	testDep = `kernel/fs/9p/9p.ko: kernel/fs/netfs/netfs.ko kernel/fs/fscache/fscache.ko kernel/net/9p/9pnet.ko
kernel/fs/netfs/netfs.ko:
kernel/fs/fscache/fscache.ko: kernel/fs/netfs/netfs.ko
kernel/net/9p/9pnet.ko:
kernel/arch/x86/kvm/kvm-amd.ko.xz: kernel/arch/x86/kvm/kvm.ko.xz kernel/virt/lib/irqbypass.ko.xz
kernel/arch/x86/kvm/kvm.ko.xz: kernel/virt/lib/irqbypass.ko.xz
kernel/virt/lib/irqbypass.ko.xz:
kernel/drivers/net/tun.ko:
`
	testBuiltin = "kernel/fs/ext4/ext4.ko\nkernel/drivers/virtio/virtio-ring.ko\n"
	testAlias   = `# Aliases extracted from modules themselves.
alias char-major-10-200 tun
alias devname:net/tun tun
alias cpu:type:x86,ven*fam*mod*:feature:*00C2* kvm-amd
alias fs-9p 9p
alias fs-ext4 ext4
`
)

func TestResolve(t *testing.T) {
	tree, err := parseModules(strings.NewReader(testDep), strings.NewReader(testBuiltin), strings.NewReader(testAlias))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		names []string
		want  []string // the last part of each path; nil for an error
	}{
		{"alone", []string{"tun"}, []string{"tun.ko"}},
		{"dependencies first", []string{"9p"}, []string{"9pnet.ko", "fscache.ko", "netfs.ko", "9p.ko"}},
		{"each once", []string{"kvm", "kvm_amd", "tun", "kvm"}, []string{"irqbypass.ko.xz", "kvm.ko.xz", "kvm-amd.ko.xz", "tun.ko"}},
		{"dash or underscore", []string{"kvm-amd"}, []string{"irqbypass.ko.xz", "kvm.ko.xz", "kvm-amd.ko.xz"}},
		{"built in", []string{"ext4", "virtio_ring"}, []string{}},
		{"alias", []string{"char-major-10-200"}, []string{"tun.ko"}},
		{"alias of a built-in", []string{"fs-ext4"}, []string{}},
		{"alias with wild cards", []string{"cpu:type:x86,ven0002fam0017mod0001:feature:,0001,00C2,"}, []string{"irqbypass.ko.xz", "kvm.ko.xz", "kvm-amd.ko.xz"}},
		{"unknown", []string{"nonsense"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files, err := tree.resolve(tt.names...)
			if (err != nil) != (tt.want == nil) {
				t.Fatalf("resolve: %v", err)
			}
			got := files[:0:0]
			for _, f := range files {
				got = append(got, f[strings.LastIndexByte(f, '/')+1:])
			}
			if len(got)+len(tt.want) > 0 && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("resolve(%v) = %v, want %v", tt.names, got, tt.want)
			}
		})
	}
}

// FuzzParseModules holds that a resolved list names every file once, and the wanted one last.
func FuzzParseModules(f *testing.F) {
	f.Add(testDep, testBuiltin, "9p")
	f.Add("a.ko: b.ko\nb.ko: a.ko\n", "", "a")
	f.Fuzz(func(t *testing.T, dep, builtin, name string) {
		tree, err := parseModules(strings.NewReader(dep), strings.NewReader(builtin), nil)
		if err != nil {
			return
		}
		files, err := tree.resolve(name)
		if err != nil || len(files) == 0 {
			return
		}
		sorted := slices.Sorted(slices.Values(files))
		if len(slices.Compact(sorted)) != len(files) {
			t.Errorf("resolve(%q) names a file twice: %q", name, files)
		}
		if want := tree.files[strings.ReplaceAll(name, "-", "_")]; !slices.Contains(files, want) {
			t.Errorf("resolve(%q) = %q lacks %q", name, files, want)
		}
	})
}

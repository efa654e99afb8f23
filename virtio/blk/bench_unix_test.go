//go:build unix

package blk_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/husk-vm/husk/disk"
)

const (
	benchBlocks = 16384 // 64 MiB: stays in the page cache
	benchRounds = 15
	benchOps    = 4096 // a round
)

// way is one way to move 4 KiB blocks at random places of the same file.
type way struct {
	name     string
	base     string // the way that it is compared with
	run      func(n int)
	perOp    []float64 // ns, a value for each round
	cpu      []float64 // ns of CPU time of the whole process, driver included, a value for each round
	mallocs  uint64
	requests int
}

// BenchmarkTable prints what a request through the device costs next to plain pread and pwrite of the same file, both
// with a warm page cache. Rounds of all ways take turns, so that what else the machine does hits all alike; medians are
// printed. In the inline ways the device's worker runs the driver too: they show what a request costs without the two
// wake-ups, which depend on the Go scheduler here and on eventfds and the guest in a machine. Run it once: go test -run '^$' -bench '^BenchmarkTable$' -benchtime 1x ./virtio/blk
func BenchmarkTable(b *testing.B) {
	image := benchImage(b)
	rnd := rand.New(rand.NewPCG(1, 2))
	next := func() uint64 { return rnd.Uint64N(benchBlocks) }
	p := make([]byte, flatBytes)
	ways := []*way{
		{name: "pread", run: func(n int) {
			for range n {
				if _, err := image.ReadAt(p, int64(next()*flatBytes)); err != nil {
					b.Fatal(err)
				}
			}
		}},
		{name: "pwrite", run: func(n int) {
			for range n {
				if _, err := image.WriteAt(p, int64(next()*flatBytes)); err != nil {
					b.Fatal(err)
				}
			}
		}},
	}
	bufs := [][]byte{p[:1024], p[1024:2048], p[2048:3072], p[3072:]}
	ways = append(ways,
		&way{name: "preadv, 4×1024", run: func(n int) {
			for range n {
				if _, err := image.ReadvAt(bufs, int64(next()*flatBytes)); err != nil {
					b.Fatal(err)
				}
			}
		}},
		&way{name: "pwritev, 4×1024", run: func(n int) {
			for range n {
				if _, err := image.WritevAt(bufs, int64(next()*flatBytes)); err != nil {
					b.Fatal(err)
				}
			}
		}},
	)
	for _, write := range []bool{false, true} {
		op, bases := "read", map[int]string{1: "pread", 4: "preadv, 4×1024"}
		if write {
			op, bases = "write", map[int]string{1: "pwrite", 4: "pwritev, 4×1024"}
		}
		for _, depth := range []int{1, 32} {
			for _, pieces := range []int{1, 4} {
				f := newFlat(b, image, depth, pieces, write)
				ways = append(ways, &way{
					name: fmt.Sprintf("device %s, QD %d, %d×%d", op, depth, pieces, flatBytes/pieces), base: bases[pieces],
					run: func(n int) { f.run(n, depth, next) },
				})
			}
		}
	}
	ways = append(ways,
		&way{name: "inline read, 1×4096", base: "pread", run: newFlatInline(b, image, 32, 1, false, next).run},
		&way{name: "inline read, 4×1024", base: "preadv, 4×1024", run: newFlatInline(b, image, 32, 4, false, next).run},
		&way{name: "inline write, 1×4096", base: "pwrite", run: newFlatInline(b, image, 32, 1, true, next).run},
		&way{name: "inline write, 4×1024", base: "pwritev, 4×1024", run: newFlatInline(b, image, 32, 4, true, next).run},
		&way{name: "inline read, idle back end", base: "pread", run: newFlatInline(b, idleDisk{image}, 32, 1, false, next).run},
	)
	for _, w := range ways {
		w.run(benchOps) // warm up
	}
	for range b.N {
		for range benchRounds {
			for _, w := range ways {
				w.round(b)
			}
		}
	}
	printTable(b, ways)
}

// benchImage is a file whose blocks are all allocated and in the page cache.
func benchImage(b *testing.B) *disk.Raw {
	b.Helper()
	path := filepath.Join(b.TempDir(), "disk.img")
	if err := os.WriteFile(path, make([]byte, benchBlocks*flatBytes), 0o600); err != nil {
		b.Fatal(err)
	}
	r, err := disk.OpenRaw(path, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close() })
	if err := r.Sync(); err != nil {
		b.Fatal(err)
	}
	return r
}

// idleDisk moves nothing: what remains is the cost of the driver in the test, of the rings and of the device.
type idleDisk struct{ *disk.Raw }

func (idleDisk) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }

// round measures one round.
func (w *way) round(b *testing.B) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, used := time.Now(), cpuTime(b)
	w.run(benchOps)
	w.perOp = append(w.perOp, float64(time.Since(start).Nanoseconds())/benchOps)
	w.cpu = append(w.cpu, float64((cpuTime(b)-used).Nanoseconds())/benchOps)
	runtime.ReadMemStats(&after)
	w.mallocs += after.Mallocs - before.Mallocs
	w.requests += benchOps
}

// cpuTime is what the process has used of all CPUs: unlike the time on the wall, it hardly depends on what else runs.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func printTable(b *testing.B, ways []*way) {
	wall, cpu := map[string]float64{}, map[string]float64{}
	var out strings.Builder
	fmt.Fprintf(&out, "\n%s/%s, %d CPUs, GOMAXPROCS %d: 4 KiB at random in %d MiB of page cache, medians of %d rounds of %d\n",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.GOMAXPROCS(0), benchBlocks*flatBytes>>20, len(ways[0].perOp), benchOps)
	fmt.Fprintf(&out, "%-30s %8s %8s %18s %8s %12s %8s %10s\n", "", "ns/op", "k IOPS", "10th..90th", "× plain", "CPU ns/op", "× plain", "allocs/op")
	for _, w := range ways {
		wall[w.name], cpu[w.name] = percentile(w.perOp, 50), percentile(w.cpu, 50)
		ratio := func(m map[string]float64) string {
			if w.base == "" {
				return ""
			}
			return fmt.Sprintf("%.2f", m[w.name]/m[w.base])
		}
		fmt.Fprintf(&out, "%-30s %8.0f %8.0f %9.0f..%7.0f %8s %12.0f %8s %10.3f\n", w.name, wall[w.name], 1e6/wall[w.name],
			percentile(w.perOp, 10), percentile(w.perOp, 90), ratio(wall), cpu[w.name], ratio(cpu), float64(w.mallocs)/float64(w.requests))
	}
	fmt.Print(out.String())
	b.ReportMetric(wall["device read, QD 32, 1×4096"]/wall["pread"], "read×/QD32")
	b.ReportMetric(wall["device write, QD 32, 1×4096"]/wall["pwrite"], "write×/QD32")
	b.ReportMetric(wall["inline read, 1×4096"]/wall["pread"], "read×/inline")
	b.ReportMetric(wall["inline write, 1×4096"]/wall["pwrite"], "write×/inline")
}

// percentile sorts v and returns the value below which p per cent of it lie.
func percentile(v []float64, p int) float64 {
	slices.Sort(v)
	return v[min(len(v)*p/100, len(v)-1)]
}

// BenchmarkRequests is the same for tools that compare runs.
func BenchmarkRequests(b *testing.B) {
	image := benchImage(b)
	for _, write := range []bool{false, true} {
		for _, depth := range []int{1, 32} {
			for _, pieces := range []int{1, 4} {
				b.Run(fmt.Sprintf("write=%v/depth=%d/pieces=%d", write, depth, pieces), func(b *testing.B) {
					f := newFlat(b, image, depth, pieces, write)
					rnd := rand.New(rand.NewPCG(1, 2))
					b.SetBytes(flatBytes)
					b.ReportAllocs()
					b.ResetTimer()
					f.run(b.N, depth, func() uint64 { return rnd.Uint64N(benchBlocks) })
				})
			}
		}
	}
}

package lab

import (
	"fmt"
	"io"
	"time"
)

// Under emulation the outer machine stands still now and then: an interrupt of its timer is lost while a nested guest
// runs, and no timer fires until some device interrupts. Whatever ran at that time fails for no fault of its own, so it
// must show: a line on the console, which `kvmlab console` prints.
const (
	stallLook  = time.Second
	stallLimit = 20 * time.Second // far beyond what a busy machine needs to schedule a process
)

// stallLine is how a line about a stall begins, for scripts that look for it.
const stallLine = "kvmlab: this machine stood still"

// watchStalls notes on w each time that passing a second took much longer. It never returns.
func watchStalls(w io.Writer) {
	for {
		start := time.Now()
		time.Sleep(stallLook)
		noteStall(w, time.Since(start))
	}
}

func noteStall(w io.Writer, took time.Duration) {
	if took > stallLimit {
		fmt.Fprintf(w, "%s for %v\n", stallLine, took.Round(time.Second))
	}
}

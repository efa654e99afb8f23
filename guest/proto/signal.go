package proto

import "strconv"

// signalNames are the texts of the C library's strsignal, in the short form that Go uses.
var signalNames = map[Signal]string{
	1: "hangup", 2: "interrupt", 3: "quit", 4: "illegal instruction", 5: "trace/breakpoint trap", 6: "aborted", 7: "bus error",
	8: "floating point exception", 9: "killed", 10: "user defined signal 1", 11: "segmentation fault", 12: "user defined signal 2",
	13: "broken pipe", 14: "alarm clock", 15: "terminated",
}

// String names the signal as package os does on Linux.
func (s Signal) String() string {
	if name, ok := signalNames[s]; ok {
		return name
	}
	return "signal " + strconv.Itoa(int(s))
}

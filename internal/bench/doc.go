// Package bench holds the programs behind `make bench-boot` and `make bench-vmm`. Each compares Husk with its peers in
// the same run, in turns, and prints medians with their spread.
package bench

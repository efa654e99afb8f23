//go:build !linux

package main

func main() { panic("needs /dev/kvm") }

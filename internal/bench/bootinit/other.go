//go:build !linux

package main

func main() { panic("a program for Linux guests") }

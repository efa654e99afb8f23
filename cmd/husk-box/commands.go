package main

// commands are u-root's: none in a plain build. guest/initramfs replaces this file.
func commands() map[string]func() { return nil }

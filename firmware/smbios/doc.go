// Package smbios writes the tables by which a guest learns what machine it is on: maker, product, serial number, UUID,
// and strings that the caller passes through.
//
// Owns: the 64-bit entry point and structures of types 0, 1, 3, 4, 11, 16, 17, 19, 32 and 127.
// Must not know: guest RAM, devices, hypervisors.
// Spec: [SMBIOS], version 3.0 of the tables.
// Stability: a part of the house, no compatibility promise.
package smbios

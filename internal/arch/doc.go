// Package arch holds the house plan, rules.txt, as a test.
//
// Owns: the arrows between packages, the place of package unsafe, the tags of docs/SPECS.md.
package arch

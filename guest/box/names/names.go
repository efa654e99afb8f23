// Package names lists the guest's own commands, for the box, which has them, and for guest/initramfs, which makes links to them and must not
// import a shell for that.
//
// Owns: names. Must not know: anything. Spec: none. Stability: a part of the house, no compatibility promise.
package names

import "slices"

// Own returns the names of the commands that are not u-root's.
func Own() []string {
	return []string{"sh", "test", "[", "printf", "env", "poweroff", "reboot", "halt", "tr"}
}

// Aliases returns names that stand for another command and its first arguments.
func Aliases() map[string][]string {
	return map[string][]string{
		"bash":      {"sh"},
		"sha1sum":   {"shasum", "-a", "1"},
		"sha256sum": {"shasum", "-a", "256"},
		"sha512sum": {"shasum", "-a", "512"},
	}
}

// All returns all names, sorted, given u-root's. Where both have a command, it is ours.
func All(uroot []string) []string {
	have := map[string]bool{}
	for _, n := range slices.Concat(uroot, Own()) {
		have[n] = true
	}
	for n, to := range Aliases() {
		if have[to[0]] {
			have[n] = true
		}
	}
	all := make([]string, 0, len(have))
	for n := range have {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

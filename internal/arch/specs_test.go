package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// citation is a tag with a section or a quoted title: [VIRTIO §2.7.6], [LINUX-BOOT "zero page"].
var citation = regexp.MustCompile(`\[([A-Z][A-Z0-9-]+)( [^\]\n]*)?[§"][^\]\n]*\]`)

// row is a line of the table in docs/SPECS.md.
var row = regexp.MustCompile(`(?m)^\| ([A-Z][A-Z0-9-]+) \|.*\| <https?://\S+> \|$`)

// mention is a tag alone: [PVH].
var mention = regexp.MustCompile(`\[([A-Z][A-Z0-9-]+)\]`)

// TestSpecTags keeps citations resolvable: every tag in a Go file must have its line, with an address, in docs/SPECS.md.
func TestSpecTags(t *testing.T) {
	text, err := os.ReadFile("../../docs/SPECS.md")
	if err != nil {
		t.Fatal(err)
	}
	known, used := map[string]bool{}, map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		known[m[1]] = true
	}
	err = filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".go" && filepath.Ext(name) != ".s" {
			return err
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(src)) {
			comment := strings.Index(line, "//")
			if comment < 0 {
				continue
			}
			for _, m := range citation.FindAllStringSubmatch(line[comment:], -1) {
				used[m[1]] = name
			}
			for _, m := range mention.FindAllStringSubmatch(line[comment:], -1) {
				if known[m[1]] {
					used[m[1]] = name
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for tag, name := range used {
		if !known[tag] {
			t.Errorf("%s cites [%s], which docs/SPECS.md does not list", name, tag)
		}
	}
	for tag := range known {
		if used[tag] == "" {
			t.Errorf("docs/SPECS.md lists %s, which nothing cites", tag)
		}
	}
}

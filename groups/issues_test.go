package groups_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every bug of others that barriers, rendezvous, groups, configuration and what they stand upon must not have is named by
// a test. This one reads the list of their ids, and the sources of the tests.
func TestEveryIssueHasItsTest(t *testing.T) {
	var tests strings.Builder
	for _, pkg := range []string{"barrier", "rendezvous", "groups", "config", "recipes", "client", "server"} {
		err := filepath.WalkDir(filepath.Join("..", pkg), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			src, err := os.ReadFile(path)
			tests.Write(src)
			return err
		})
		must(t, err)
	}
	list, err := os.ReadFile("testdata/issues.txt")
	must(t, err)
	n := 0
	for id := range strings.Lines(string(list)) {
		if id = strings.TrimSpace(id); id == "" || id[0] == '#' {
			continue
		}
		n++
		if !regexp.MustCompile(regexp.QuoteMeta(id) + `([^0-9]|$)`).MatchString(tests.String()) {
			t.Errorf("no test tells of %s", id)
		}
	}
	if n < 70 {
		t.Errorf("only %d ids", n)
	}
}

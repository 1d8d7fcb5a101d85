package recipes_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The trackers: one with numbers behind a dash, several behind a hash. A list goes on with numbers alone: "CURATOR-3, -18".
var (
	dashed = regexp.MustCompile(`(?i)(?:\b|_)(CURATOR|ZOOKEEPER)-?(\d+(?:(?:,| and)\s*-\d+)*)`)
	hashed = regexp.MustCompile(`(?i)(?:\b|_)(aiozk|charts|cilium|client-go|commons|contrib|etcd|go|k8s|kazoo|libkv|netflix|otter|samuel|vespa|vitess|zk-ruby)(?: #| PR #|)(\d+(?:(?:,| and)\s*(?:PR )?#\d+)*)`)
	number = regexp.MustCompile(`\d+`)
)

// issuesIn returns the issues that a text names, as in the list.
func issuesIn(text string) map[string]bool {
	text = strings.ReplaceAll(text, "\n// ", " ") // a list may go on in the next line
	found := make(map[string]bool)
	for _, m := range dashed.FindAllStringSubmatch(text, -1) {
		for _, n := range number.FindAllString(m[2], -1) {
			found[strings.ToLower(m[1]+"-"+n)] = true
		}
	}
	for _, m := range hashed.FindAllStringSubmatch(text, -1) {
		for _, n := range number.FindAllString(m[2], -1) {
			found[strings.ToLower(m[1]+" #"+n)] = true
		}
	}
	return found
}

// Every report in testdata/issues.txt has a test that carries its number.
func TestIssues(t *testing.T) {
	list, err := os.ReadFile("testdata/issues.txt")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, dir := range []string{".", "fence", "../lock", "../leader", "../barrier", "../client", "../server", "../server/servertest", "../server/internal/tree"} {
		files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no tests (%v)", dir, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for id := range issuesIn(string(text)) {
				found[id] = true
			}
		}
	}
	ids := 0
	for line := range strings.Lines(string(list)) {
		id := strings.TrimSpace(line)
		if id == "" || strings.HasPrefix(id, "# ") {
			continue
		}
		if ids++; !found[strings.ToLower(id)] {
			t.Errorf("%s: no test carries it", id)
		}
	}
	if ids < 100 {
		t.Errorf("only %d issues are listed", ids)
	}
}

func TestIssues_HowTheyAreNamed(t *testing.T) {
	text := "// CURATOR-3, -18,\n// -171 and -202, etcd PR #11364, #22123: …\nfunc TestX_Kazoo649(t *testing.T) {} // CURATOR604 k8s #1, 7 others"
	want := []string{"curator-3", "curator-18", "curator-171", "curator-202", "curator-604", "etcd #11364", "etcd #22123", "kazoo #649", "k8s #1"}
	got := issuesIn(text)
	for _, id := range want {
		if !got[id] {
			t.Errorf("%s was not found: %v", id, got)
		}
	}
	if len(got) != len(want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

// Every guarantee that a doc.go numbers has a test that carries the number.
func TestGuarantees(t *testing.T) {
	numbered := regexp.MustCompile(`(?m)^//\t([A-Z]\d+)  `)
	for _, dir := range []string{".", "../lock", "../leader"} {
		doc, err := os.ReadFile(filepath.Join(dir, "doc.go"))
		if err != nil {
			t.Fatal(err)
		}
		var tests strings.Builder
		files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(text)
		}
		all := numbered.FindAllStringSubmatch(string(doc), -1)
		if len(all) < 6 {
			t.Errorf("%s/doc.go numbers %d guarantees", dir, len(all))
		}
		for _, m := range all {
			if !regexp.MustCompile(`func Test\w*_` + m[1] + `_|// ` + m[1] + `\b`).MatchString(tests.String()) {
				t.Errorf("%s: no test carries %s", dir, m[1])
			}
		}
	}
}

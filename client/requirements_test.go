package client_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// requirements are those of the field that are the client's to meet: what users of other clients complain about.
var requirements = []string{
	"R-1", "R-2", "R-3", "R-4", "R-5", "R-6", "R-7", "R-8", "R-9", "R-10", "R-11", "R-12", "R-13", "R-14", "R-15", "R-16", "R-17", "R-18",
	"R-28", "R-34",
}

// parseTests returns the tests of some files, each with the requirements that its name or comment names.
func parseTests(t *testing.T, patterns ...string) map[string][]string {
	t.Helper()
	name := regexp.MustCompile(`\bR-(\d+)\b|_R(\d+)(?:_|\b)`)
	tests := make(map[string][]string)
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files (%v)", pattern, err)
		}
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || !strings.HasPrefix(strings.ToLower(fn.Name.Name), "test") {
					continue
				}
				tests[fn.Name.Name] = nil
				for _, m := range name.FindAllStringSubmatch(fn.Doc.Text()+" "+fn.Name.Name, -1) {
					tests[fn.Name.Name] = append(tests[fn.Name.Name], "R-"+m[1]+m[2])
				}
			}
		}
	}
	return tests
}

// Every requirement has a test that names it.
func TestRequirements(t *testing.T) {
	covered := make(map[string][]string)
	for test, list := range parseTests(t, "*_test.go", "../*_test.go") {
		for _, r := range slices.Compact(list) {
			covered[r] = append(covered[r], test)
		}
	}
	for _, r := range requirements {
		slices.Sort(covered[r])
		if t.Logf("%-5s %s", r, strings.Join(covered[r], " ")); len(covered[r]) == 0 {
			t.Errorf("no test names %s", r)
		}
	}
}

// all tests, those with faults among them, run under the race detector before anything is merged.
func TestRaceDetector_R14(t *testing.T) {
	for file, want := range map[string]string{"../Makefile": "\nrace:\n\tGOMAXPROCS=1 go test -race", "../.ci/run": "make -s race"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not say %q", file, want)
		}
	}
}

// Every transition in DESIGN.md names its tests, and they are there.
func TestDesign(t *testing.T) {
	text, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| from | when |")
	table, _, ok2 := strings.Cut(table, "\n\n")
	if !ok || !ok2 {
		t.Fatal("DESIGN.md has no table of the transitions")
	}
	tests, quoted := parseTests(t, "*_test.go"), regexp.MustCompile("`([A-Za-z0-9_]+)`")
	for _, row := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(strings.Trim(row, "|"), "|")
		names := quoted.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(names) == 0 {
			t.Errorf("no test of the transition %s", fmt.Sprint(cells[:3]))
		}
		for _, name := range names {
			if _, there := tests["Test"+name[1]]; !there {
				t.Errorf("there is no Test%s, which DESIGN.md names", name[1])
			}
		}
	}
}

package docent_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/docent-io/docent"

// pkg is what `go list -json` tells of a package.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	GoFiles    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps,GoFiles", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		list = append(list, p)
	}
}

// mayImport says which packages of this module each package may import; a name stands for the package and what is
// below it. The list goes from the bottom to the top of the map, and the longest name that fits counts.
var mayImport = map[string][]string{
	"":                              {},
	"internal/wire":                 {},
	"internal/zpath":                {},
	"internal/testkit":              {},
	"internal/history":              {"internal/wire"},
	"internal/sim":                  {"internal/history", "internal/testkit", "internal/wire", "client", "recipes", "lock", "leader", "barrier", "rendezvous", "groups", "config", "server"},
	"internal/faults":               {"internal/history", "internal/testkit", "internal/wire", "client", "lock", "leader"},
	"internal/interop":              {"internal"},
	"internal/interop/differential": {"internal"},
	"internal/interop/clientbench":  {"client", "internal/wire", "server/servertest"},
	"internal/interop/contend":      {"client", "lock", "leader"},
	"client":                        {"internal/wire", "internal/zpath"},
	"client/prommetrics":            {"client"},
	"client/oteltracing":            {"client"},
	"recipes":                       {"client", "recipes", "internal/zpath"},
	"lock":                          {"client", "recipes", "internal/zpath"},
	"leader":                        {"client", "recipes", "internal/zpath"},
	"barrier":                       {"client", "recipes", "internal/zpath"},
	"rendezvous":                    {"client", "recipes", "internal/zpath"},
	"groups":                        {"client", "recipes", "internal/zpath"},
	"config":                        {"client", "recipes", "internal/zpath"},
	"server":                        {"server/internal", "internal/wire", "internal/zpath"},
	"server/internal":               {"server/internal", "internal/wire", "internal/zpath"},
	"server/servertest":             {"server", "client", "internal/wire", "internal/testkit"},
	"cmd":                           {"internal/zpath", "client", "recipes", "lock", "leader", "barrier", "rendezvous", "groups", "config", "server", "cmd"},
	"cmd/docent/internal":           {"client", "internal/wire", "internal/zpath", "cmd/docent/internal"},
	"examples":                      {"client", "recipes", "lock", "leader", "barrier", "rendezvous", "groups", "config", "server"},
}

// corners says which packages alone may import a dependency.
var corners = map[string][]string{
	"github.com/hashicorp/raft":      {"server/internal/replica", "server/internal/storage"},
	"go.etcd.io/bbolt":               {"server/internal/storage"},
	"github.com/cenkalti/backoff/v4": {"client", "recipes", "lock", "leader", "barrier", "rendezvous", "groups", "config"},
	"github.com/google/uuid":         {"client", "recipes", "lock", "leader", "barrier", "rendezvous", "groups", "config"},
}

// pure are packages without clock, network, disk, goroutines and randomness.
var pure = []string{"server/internal/tree", "server/internal/watch", "server/internal/expiry"}

func within(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		rule, found := "", name == ""
		for r := range mayImport {
			if r != "" && within(name, r) && len(r) > len(rule) {
				rule, found = r, true
			}
		}
		if !found {
			t.Errorf("%s: no rule says what it may import: is it in its right place?", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if dep, ours := strings.CutPrefix(imp, module+"/"); ours {
				if !slices.ContainsFunc(mayImport[rule], func(allowed string) bool { return within(dep, allowed) }) {
					t.Errorf("%s imports %s, which is not below it on the map", name, dep)
				}
				continue
			}
			for dep, users := range corners {
				if within(imp, dep) && !slices.Contains(users, name) {
					t.Errorf("%s imports %s, which belongs to %v", name, imp, users)
				}
			}
			if slices.Contains(pure, name) && slices.Contains([]string{"net", "os", "math/rand", "math/rand/v2", "crypto/rand"}, imp) {
				t.Errorf("%s imports %s, but is to be pure", name, imp)
			}
		}
	}
}

// adapters are for programs that have the weight already: what each of them may depend on beside the light packages.
var adapters = map[string][]string{
	"client/prommetrics": {"github.com/prometheus", "github.com/beorn7/perks", "github.com/cespare/xxhash/v2", "github.com/munnerz/goautoneg", "google.golang.org/protobuf", "golang.org/x/sys"},
	"client/oteltracing": {"go.opentelemetry.io/otel", "go.opentelemetry.io/auto/sdk", "github.com/go-logr", "github.com/cespare/xxhash/v2"},
}

// a program that takes a lock must not link raft.
func TestImportWeight(t *testing.T) {
	light := []string{"client", "recipes", "lock", "leader", "barrier", "rendezvous", "groups", "config"}
	allowed := []string{"github.com/cenkalti/backoff/v4", "golang.org/x/sync", "github.com/google/uuid", module}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if !slices.ContainsFunc(light, func(l string) bool { return within(name, l) }) {
			continue
		}
		for _, dep := range p.Deps {
			first, _, _ := strings.Cut(dep, "/")
			if !strings.Contains(first, ".") {
				continue // of the standard library
			}
			if !slices.ContainsFunc(append(adapters[name], allowed...), func(a string) bool { return within(dep, a) }) {
				t.Errorf("%s depends on %s", name, dep)
			}
		}
	}
}

// The pure packages take time and chance as arguments.
func TestPure(t *testing.T) {
	for _, dir := range pure {
		files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files (%v)", dir, err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"time.Now(", "time.Since(", "time.After(", "time.NewTimer(", "\tgo ", ".Go("} {
				if strings.Contains(string(text), word) {
					t.Errorf("%s contains %q, but is to be pure", f, word)
				}
			}
		}
	}
}

// A thing enters recipes only if two recipe packages need it: the files are listed so that adding one is noticed.
func TestRecipesFiles(t *testing.T) {
	want := []string{"cache.go", "codec.go", "doc.go", "follow.go", "hold.go", "line.go", "presence.go", "replica.go", "snapshot.go", "ticket.go"}
	for _, p := range packages(t) {
		if p.ImportPath != module+"/recipes" {
			continue
		}
		for _, f := range p.GoFiles {
			if !slices.Contains(want, f) {
				t.Errorf("recipes/%s is new: do two recipe packages need it? Then list it here", f)
			}
		}
	}
}

// The top level holds what the map shows, and the usual files.
func TestTopLevel(t *testing.T) {
	want := []string{
		"server", "client", "recipes", "leader", "lock", "barrier", "rendezvous", "groups", "config", "examples", "cmd", "internal", "docs",
		"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "doc.go", "layout_test.go", "docs_test.go", "documented_test.go", "example_test.go", "go.mod", "go.sum", "bin", "dist",
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(want, e.Name()) {
			t.Errorf("%s is not of the top level", e.Name())
		}
	}
}

package server_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The operator's guide names every metric, and no other.
func TestOperatorsGuide_NamesTheMetrics(t *testing.T) {
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := regexp.MustCompile(`docent_[a-z_]+`).FindAllString(string(text), -1)
	_, scraped := get(t, start(t, withAdmin), "/metrics")
	var there []string
	for line := range strings.Lines(scraped) {
		if name, _, ok := strings.Cut(line, " "); ok && strings.HasPrefix(name, "docent_") {
			there = append(there, name)
		}
	}
	if len(there) < 20 {
		t.Fatalf("metrics: %v", there)
	}
	for _, name := range there {
		if !slices.Contains(documented, name) {
			t.Errorf("%s is not in docs/operations.md", name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(there, name) {
			t.Errorf("docs/operations.md names %s, which is not there", name)
		}
	}
}

package recipes

import (
	"slices"
	"strings"
	"testing"
)

// FuzzLine lines up anything as the children of a directory: whoever is recognised stands in
// order and waits for the one right ahead, one at most has its turn, and nobody whose number is there twice.
func FuzzLine(f *testing.F) {
	f.Add("_c_e7c75a00-a67e-4401-988c-835cb028acdd-lock-0000000012\n6d30b8b06d30b8b06d30b8b06d30b8b0__lock__0000000003\nreadme", "lock-")
	f.Add("lock--2147483648\nlock-2147483647\nlock-0000000000\nlock-0000000000", "lock-")
	f.Add("lock-4294967295\nlock-000000001x\n-0000000001", "-")
	f.Fuzz(func(t *testing.T, text, kind string) {
		names := strings.Split(text, "\n")
		l := Line{Dir: "/l", Kind: kind, Also: []string{"__lock__"}}
		line := l.order(slices.Clone(names))
		for _, p := range line {
			if !slices.Contains(names, p.Name) || !strings.Contains(p.Name, p.Kind) {
				t.Fatalf("%q is in the line as %+v", p.Name, p)
			}
		}
		// Numbers are a distance, which has an order only if there is one that all others are ahead of.
		first := slices.IndexFunc(line, func(p Place) bool {
			return !slices.ContainsFunc(line, func(o Place) bool { return o.Seq-p.Seq < 0 })
		})
		if first >= 0 && !slices.IsSortedFunc(line, func(a, b Place) int { return int(a.Seq-line[first].Seq) - int(b.Seq-line[first].Seq) }) {
			t.Errorf("out of order: %v", line)
		}
		turns := 0
		for i, p := range line {
			same := 0
			for _, o := range line {
				if o.Seq == p.Seq {
					same++
				}
			}
			b, err := l.blocker(line, p.Name)
			switch {
			case (same > 1) != (err != nil):
				t.Errorf("%q, whose number is there %d times: %v", p.Name, same, err)
			case err == nil && b == nil:
				turns++
			case err == nil && *b != line[i-1]:
				t.Errorf("%q waits for %q, want %q", p.Name, b.Name, line[i-1].Name)
			}
		}
		if turns > 1 {
			t.Errorf("%d have their turn in %q", turns, line)
		}
	})
}

package zpath_test

import (
	"testing"

	"github.com/docent-io/docent/internal/zpath"
)

// Trap 38 of §13.3 of the protocol reference: all runes outside the basic plane are refused, and more.
func TestValidate_Trap38(t *testing.T) {
	for _, p := range []string{"/", "/a", "/a/b", "/a/.b", "/a/..b", "/a/b..", "/ü/漢", "/a b", "/a/\ud7ff", "/\uf900", "/\uffef"} {
		if err := zpath.Validate(p); err != nil {
			t.Errorf("Validate(%q) = %v, want nil", p, err)
		}
	}
	for _, p := range []string{
		"", "a", "a/b", "/a/", "//", "/a//b", "/.", "/..", "/a/./b", "/a/..", "/a/../b", "/\x00", "/a\x1f", "/a\x7f", "/\u009f",
		"/\ue000", "/\uf8ff", "/\ufff0", "/\ufffd", "/\xff", "/\U0001f600",
	} {
		if zpath.Validate(p) == nil {
			t.Errorf("Validate(%q) = nil, want an error", p)
		}
	}
}

func TestSplitJoin(t *testing.T) {
	for _, c := range []struct{ path, parent, name string }{
		{"/", "/", ""}, {"/a", "/", "a"}, {"/a/b", "/a", "b"}, {"/a/b/c", "/a/b", "c"},
	} {
		if parent, name := zpath.Split(c.path); parent != c.parent || name != c.name {
			t.Errorf("Split(%q) = %q, %q, want %q, %q", c.path, parent, name, c.parent, c.name)
		}
		if got := zpath.Join(c.parent, c.name); got != c.path {
			t.Errorf("Join(%q, %q) = %q, want %q", c.parent, c.name, got, c.path)
		}
	}
	for _, c := range []struct{ parent, name, want string }{
		{"", "", "/"}, {"", "a", "/a"}, {"a", "b/c", "/a/b/c"}, {"/a/", "/b/", "/a/b"},
	} {
		if got := zpath.Join(c.parent, c.name); got != c.want {
			t.Errorf("Join(%q, %q) = %q, want %q", c.parent, c.name, got, c.want)
		}
	}
}

func TestSequence(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		seq        int32
		ok         bool
	}{
		{"_c_x-lock-0000000041", "lock-", 41, true},
		{"_c_x-lock-2147483647", "lock-", 2147483647, true},
		{"_c_x-lock--2147483648", "lock-", -2147483648, true},
		{"_c_x-__READ__-2147483000", "__READ__", -2147483000, true},
		{"lock-lock-0000000003", "lock-", 3, true},
		{"lock-2147483648", "lock-", 0, false},
		{"lock-1", "lock-", 0, false},
		{"lock-00000000010", "lock-", 0, false},
		{"lock-000000000x", "lock-", 0, false},
		{"lock---00000001", "lock-", 0, false},
		{"latch-0000000001", "lock-", 0, false},
	} {
		if seq, ok := zpath.Sequence(c.name, c.kind); seq != c.seq || ok != c.ok {
			t.Errorf("Sequence(%q, %q) = %d, %v, want %d, %v", c.name, c.kind, seq, ok, c.seq, c.ok)
		}
	}
}

func FuzzValidate(f *testing.F) {
	f.Add("/a/b")
	f.Add("//\xff")
	f.Fuzz(func(t *testing.T, p string) {
		if zpath.Validate(p) != nil {
			return
		}
		parent, name := zpath.Split(p)
		if got := zpath.Join(parent, name); got != p {
			t.Errorf("Join(Split(%q)) = %q", p, got)
		}
	})
}

package groups

import "testing"

// The order of precedence given in semver.org 2.0.0, §11, and what comes before and after.
func TestVersionOrder(t *testing.T) {
	ordered := []string{
		"0", "0.0.1", "1.0.0-0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
		"1.0.0-beta.11", "1.0.0-rc.1", "1", "1.5", "1.6.2", "1.10.0", "2.0.0", "18446744073709551616.0.0",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			va, err := parseVersion(a)
			if err != nil {
				t.Fatalf("parse %q: %v", a, err)
			}
			vb, err := parseVersion(b)
			if err != nil {
				t.Fatalf("parse %q: %v", b, err)
			}
			if got := va.compare(vb); got != sign(i-j) {
				t.Errorf("compare(%s, %s) = %d, want %d", a, b, got, sign(i-j))
			}
		}
	}
}

func TestVersionEqual(t *testing.T) {
	for _, pair := range [][2]string{{"1.5", "1.5.0"}, {"v2", "2.0.0"}, {"1.0.0+linux", "1.0.0+mac.7"}, {"01.2", "1.2"}} {
		a, errA := parseVersion(pair[0])
		b, errB := parseVersion(pair[1])
		if errA != nil || errB != nil || a.compare(b) != 0 {
			t.Errorf("%s and %s are not equal: %v %v", pair[0], pair[1], errA, errB)
		}
	}
}

func TestVersionRefused(t *testing.T) {
	for _, s := range []string{"", "v", "1.", "1.2.3.4", "1.x", "-1", "1.0.0-", "1.0.0-a..b", "1.0.0+", "latest", "1.0-ü"} {
		if _, err := parseVersion(s); err == nil {
			t.Errorf("parseVersion(%q) found nothing wrong", s)
		}
	}
}

package groups

import (
	"errors"
	"strings"
)

// version is a parsed semantic version (semver.org, 2.0.0). The numbers stay text, so no version is too big.
type version struct {
	core [3]string // major, minor, patch without leading zeros
	pre  []string  // the identifiers of a pre-release; none for a release
}

var errVersion = errors.New("not a version like 1.6.2, 1.5 or v2.0.0-rc.1")

// parseVersion reads a semantic version. A leading v is allowed, and minor and patch may be left out: 1.5 is 1.5.0.
func parseVersion(s string) (version, error) {
	v := version{core: [3]string{"0", "0", "0"}}
	s, build, hasBuild := strings.Cut(strings.TrimPrefix(s, "v"), "+") // the build does not count when versions are compared
	core, pre, hasPre := strings.Cut(s, "-")
	parts := strings.Split(core, ".")
	if len(parts) > 3 {
		return version{}, errVersion
	}
	for i, p := range parts {
		if !isNumber(p) {
			return version{}, errVersion
		}
		if v.core[i] = strings.TrimLeft(p, "0"); v.core[i] == "" {
			v.core[i] = "0"
		}
	}
	if hasPre {
		v.pre = strings.Split(pre, ".")
	}
	identifiers := v.pre
	if hasBuild {
		identifiers = append(identifiers[:len(identifiers):len(identifiers)], strings.Split(build, ".")...)
	}
	for _, id := range identifiers {
		if !isIdentifier(id) {
			return version{}, errVersion
		}
	}
	return v, nil
}

// compare orders versions by precedence: -1, 0 or 1. A pre-release comes before its release.
func (v version) compare(w version) int {
	for i := range v.core {
		if c := compareNumbers(v.core[i], w.core[i]); c != 0 {
			return c
		}
	}
	switch {
	case len(v.pre) == 0 && len(w.pre) == 0:
		return 0
	case len(v.pre) == 0:
		return 1
	case len(w.pre) == 0:
		return -1
	}
	for i := 0; i < len(v.pre) && i < len(w.pre); i++ {
		if c := compareIdentifiers(v.pre[i], w.pre[i]); c != 0 {
			return c
		}
	}
	return sign(len(v.pre) - len(w.pre))
}

// compareIdentifiers orders two identifiers of pre-releases: numbers by value and before words, words as text.
func compareIdentifiers(a, b string) int {
	switch an, bn := isNumber(a), isNumber(b); {
	case an && bn:
		return compareNumbers(strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0"))
	case an:
		return -1
	case bn:
		return 1
	}
	return strings.Compare(a, b)
}

// compareNumbers orders two numbers without leading zeros.
func compareNumbers(a, b string) int {
	if len(a) != len(b) {
		return sign(len(a) - len(b))
	}
	return strings.Compare(a, b)
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func isIdentifier(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") == ""
}

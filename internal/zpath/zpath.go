// Package zpath knows the names of znodes: what is a valid path, how paths are split and joined, and the sequence
// number that a sequential node carries at its end.
package zpath

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Validate tells whether p is a valid path of a node by ZooKeeper's rules, and if not, why.
func Validate(p string) error {
	if err := validate(p); err != nil {
		return fmt.Errorf("path %q %w", p, err)
	}
	return nil
}

func validate(p string) error {
	switch {
	case p == "":
		return errors.New("is empty")
	case p[0] != '/':
		return errors.New("does not begin with /")
	case p == "/":
		return nil
	case p[len(p)-1] == '/':
		return errors.New("ends in /")
	}
	for i, r := range p {
		if r == '/' {
			name, _, _ := strings.Cut(p[i+1:], "/")
			switch name {
			case "":
				return errors.New("has an empty name")
			case ".", "..":
				return fmt.Errorf("has the name %q", name)
			}
		} else if forbidden(r) {
			return fmt.Errorf("has the character %U at byte %d", r, i)
		}
	}
	return nil
}

// forbidden holds for what ZooKeeper refuses in UTF-16 units: controls, surrogates (so all runes outside the basic
// plane), the private area, and the specials, among them U+FFFD, which stands for bytes that are not UTF-8.
func forbidden(r rune) bool {
	return r <= 0x1f || r >= 0x7f && r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0
}

// Split returns the parent of a path and the name of its last element. The parent of "/" and of "/a" is "/".
func Split(p string) (parent, name string) {
	i := strings.LastIndexByte(p, '/')
	if i <= 0 {
		return "/", p[i+1:]
	}
	return p[:i], p[i+1:]
}

// Join returns the path of the node called name below parent. Either may come without a slash, name with several
// elements; the result begins with a slash and does not end in one.
func Join(parent, name string) string {
	parent, name = strings.Trim(parent, "/"), strings.Trim(name, "/")
	switch {
	case name == "":
		return "/" + parent
	case parent == "":
		return "/" + name
	}
	return "/" + parent + "/" + name
}

// Sequence returns the sequence number in the name of a sequential node whose name was given to end in kind: the text
// behind kind, ten digits, or a minus and ten digits once the counter of an old server has overflowed. It is asked about
// every child of a directory by whoever waits in line there, so it looks at the end alone.
func Sequence(name, kind string) (seq int32, ok bool) {
	end := len(name) - 10
	if end < len(kind) || kind == "" {
		return 0, false
	}
	for _, digit := range []byte(name[end:]) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
	}
	text := name[end:]
	if before := name[:end]; !strings.HasSuffix(before, kind) {
		if before, ok = strings.CutSuffix(before, "-"); !ok || !strings.HasSuffix(before, kind) {
			return 0, false
		}
		text = name[end-1:]
	}
	v, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, false
	}
	return int32(v), true
}

package client

import (
	"fmt"
	"strings"

	"github.com/docent-io/docent/internal/zpath"
)

// resolve returns a caller's path as the server knows it, and as it is shown to the caller: with a leading slash. Only
// the path of a sequential node may end in a slash.
func (c *Client) resolve(path string, sequential bool) (full, shown string, err error) {
	shown = path
	if path == "" || path[0] != '/' {
		shown = "/" + path
	}
	full = shown
	if c.ns != "" {
		full = c.ns + shown
		if shown == "/" && !sequential {
			full = c.ns
		}
	}
	checked := full
	if sequential && strings.HasSuffix(full, "/") {
		checked = full + "0"
	}
	if err := zpath.Validate(checked); err != nil {
		return "", shown, fmt.Errorf("%w: %w", ErrBadArguments, err)
	}
	return full, shown, nil
}

// show returns a path of the server as the caller knows it.
func (c *Client) show(full string) string {
	switch {
	case c.ns == "":
		return full
	case full == c.ns:
		return "/"
	}
	return strings.TrimPrefix(full, c.ns)
}

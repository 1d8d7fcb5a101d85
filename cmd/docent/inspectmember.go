package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/docent-io/docent/client"
)

// members is a directory of ephemeral nodes that are no contenders: a group, a service, another library's barrier or
// semaphore. Without any it is a plain directory.
func (f forest) members(ctx context.Context, x *sight, data []byte, names []string) error {
	slices.Sort(names)
	all, err := f.present(ctx, x.Path, names)
	if err != nil {
		return err
	}
	x.Kind = kindDirectory
	for _, m := range all {
		if m.Session == 0 {
			x.Strangers = append(x.Strangers, strings.TrimPrefix(m.Path[len(x.Path):], "/"))
		} else {
			x.Members = append(x.Members, m)
		}
	}
	if len(x.Members) == 0 {
		x.Strangers = nil
		return nil
	}
	x.Kind = kindGroup
	permits, err := strconv.Atoi(string(data))
	switch {
	case slices.Contains(names, "ready"):
		x.Kind, x.State = kindBarrier, "running" // Curator's and kazoo's
		x.Strangers = slices.DeleteFunc(x.Strangers, func(n string) bool { return n == "ready" })
	case slices.ContainsFunc(x.Members, func(m contender) bool { return m.Details != "" }):
		x.Kind = kindService
	case err == nil && permits > 0 && !slices.ContainsFunc(names, func(n string) bool { return !kazooName.MatchString(n) }):
		return f.kazooSemaphore(ctx, x, permits)
	}
	return nil
}

// kazooSemaphore has its leases in the directory, and who waits in the line of a lock beside it.
func (f forest) kazooSemaphore(ctx context.Context, x *sight, permits int) error {
	x.Kind, x.Permits, x.Used = kindSemaphore, permits, len(x.Members)
	x.Holders, x.Members, x.Holding = x.Members, []contender{}, len(x.Members)
	guard := x.Path + "-__lock__"
	lists, err := f.list(ctx, guard)
	if err != nil {
		return err
	}
	line, _ := lineUp(lists[guard].Names)
	x.Waiting, err = f.contenders(ctx, guard, line, contenderOf)
	x.Queued = len(x.Waiting)
	return err
}

// present reads nodes that are there, in the order of their names.
func (f forest) present(ctx context.Context, dir string, names []string) ([]contender, error) {
	line := make([]place, len(names))
	for i, name := range names {
		line[i] = place{name: name}
	}
	return f.contenders(ctx, dir, line, memberOf)
}

func memberOf(n client.Node, p place) contender {
	c := contenderOf(n, p)
	c.instance(n)
	return c
}

// instance reads the JSON of Curator's ServiceInstance, which docent's services have too. Members of groups say anything,
// and are called by the name of their node.
func (c *contender) instance(n client.Node) {
	var s struct {
		Name, ID, Address string
		Port              *int
		ServiceType       string
		Payload           struct{ Version, Flavor, Status string }
		Enabled           *bool
	}
	err := json.Unmarshal(n.Data, &s)
	if wrongType := (*json.UnmarshalTypeError)(nil); err != nil && !errors.As(err, &wrongType) || s.ID == "" || s.ServiceType == "" {
		if c.ID == "" || !utf8.ValidString(c.ID) || json.Valid(n.Data) {
			c.ID = n.Path[strings.LastIndexByte(n.Path, '/')+1:]
		}
		return
	}
	c.ID, c.Addr = s.ID, s.Address
	if s.Port != nil {
		c.Addr += ":" + strconv.Itoa(*s.Port)
	}
	status := s.Payload.Status
	switch {
	case s.Enabled != nil && !*s.Enabled:
		status = "draining"
	case status == "":
		status = "up"
	}
	c.Details = strings.Join(slices.DeleteFunc([]string{s.Payload.Flavor, s.Payload.Version, status}, func(s string) bool { return s == "" }), " ")
}

// memberName returns whom the name of a member's node is about: <guid>-<who>[-<number>], escaped.
func memberName(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	_, who, ok := strings.Cut(name, "-")
	if !ok {
		return name
	}
	if i := strings.LastIndexByte(who, '-'); i > 0 && len(who)-i == 11 {
		who = who[:i]
	}
	if plain, err := url.PathUnescape(who); err == nil {
		return plain
	}
	return who
}

// leaf is a node without children: a number, another value, or nothing.
func (x *sight) leaf(data []byte) {
	text := string(bytes.TrimSpace(data))
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case len(data) == 0:
		x.Kind = kindEmpty
		x.note("nobody is here")
	case err == nil:
		x.Kind, x.Value = kindCounter, strconv.FormatInt(n, 10)
		x.note("a number is also what stays of a semaphore that nobody uses: its permits")
	case len(data) == 4 && !isText(data):
		x.Kind, x.Value = kindCounter, strconv.FormatInt(int64(int32(binary.BigEndian.Uint32(data))), 10)
	case len(data) == 8 && !isText(data):
		x.Kind, x.Value = kindCounter, strconv.FormatInt(int64(binary.BigEndian.Uint64(data)), 10)
	default:
		x.Kind, x.Value = kindValue, readable(data)
		if x.Stat.Version == 0 && len(data) < 256 {
			x.note("a gate is a node like this: closed while it exists, by whom its data say")
		}
	}
}

// readable shows the beginning of data, as text if it is that.
func readable(data []byte) string {
	const most = 4096
	short := data[:min(len(data), most)]
	text := string(short)
	if !utf8.Valid(data) {
		text = fmt.Sprintf("%q", short)
	}
	if len(data) > most {
		text = fmt.Sprintf("%s... (%s bytes in all)", strings.ToValidUTF8(text, ""), thousands(int64(len(data))))
	}
	return text
}

func isText(data []byte) bool {
	return utf8.Valid(data) && !bytes.ContainsFunc(data, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' })
}

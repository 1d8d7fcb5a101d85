package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

const (
	askPatience = 3 * time.Second // with one server, when others can be asked
	askMost     = 256 << 20       // bytes of an answer
)

// asker asks servers what the protocol has no request for: by four-letter words on the clients' ports, and over HTTP where
// operators do.
type asker struct {
	servers []string // the clients' ports of the DSN
	tls     *tls.Config
	admins  []*operator
}

// addAdmins gives a verb --admin with several addresses, and returns what makes its asker.
func addAdmins(cmd *cobra.Command, e env) func(r *remote, cfg client.Config) (*asker, error) {
	list := cmd.Flags().StringSlice("admin", nil, "`addresses` for operators (--admin-listen), separated by commas; or DOCENT_ADMIN")
	return func(r *remote, cfg client.Config) (*asker, error) {
		a := &asker{tls: cfg.TLS}
		for _, s := range cfg.Servers {
			a.servers = append(a.servers, withPort(s))
		}
		admins := *list
		if from := e.getenv("DOCENT_ADMIN"); len(admins) == 0 && from != "" {
			admins = strings.Split(from, ",")
		}
		for _, addr := range admins {
			o := &operator{getenv: e.getenv, admin: addr, auth: r.auth, sends: "application/json"}
			if err := o.complete(); err != nil {
				return nil, err
			}
			a.admins = append(a.admins, o)
		}
		return a, nil
	}
}

// withPort completes an address of a DSN.
func withPort(server string) string {
	if _, _, err := net.SplitHostPort(server); err != nil {
		return net.JoinHostPort(strings.Trim(server, "[]"), "2181")
	}
	return server
}

// errNotAllowed: the server does not answer this word to anybody.
var errNotAllowed = errors.New("four-letter word is not in the server's whitelist")

// word sends a four-letter word to a server.
func (a *asker) word(ctx context.Context, server, word string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askPatience, fmt.Errorf("no answer within %v", askPatience))
	defer cancel()
	nc, err := a.connect(ctx, server)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if _, err := io.WriteString(nc, word); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(nc, askMost))
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", err
	case strings.Contains(string(text), "is not executed because it is not in the whitelist"):
		return "", errNotAllowed
	}
	return string(text), nil
}

func (a *asker) connect(ctx context.Context, server string) (net.Conn, error) {
	if a.tls == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", server)
	}
	return (&tls.Dialer{Config: a.tls}).DialContext(ctx, "tcp", server)
}

// command asks one server's address for operators, and decodes the answer.
func (a *asker) command(ctx context.Context, o *operator, name string, answer any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askPatience, fmt.Errorf("no answer within %v", askPatience))
	defer cancel()
	resp, err := o.request(ctx, http.MethodGet, name, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, askMost))
	if err != nil {
		return fmt.Errorf("%s: %w", o.admin, err)
	}
	var failure struct{ Error string }
	if err := json.Unmarshal(text, &failure); err != nil {
		return fmt.Errorf("%s: what it answers is no JSON: %w", o.admin, err)
	}
	if failure.Error != "" {
		return fmt.Errorf("%s: %s", o.admin, failure.Error)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s: %w", o.admin, err)
	}
	return nil
}

// contact is what a server knows of a session's connection.
type contact struct {
	Server    string     `json:"server"`              // which told so
	Client    string     `json:"client,omitempty"`    // the address of the process
	Connected *time.Time `json:"connected,omitempty"` // the session is at least this old
	Heard     *time.Time `json:"heard,omitempty"`     // of its last request or ping
	Expires   *time.Time `json:"expires,omitempty"`   // of a session without a connection: unless it is heard before
	TimeoutMS int64      `json:"timeoutMs,omitempty"`
}

// better tells which of two servers' words on a session to believe: a session may have moved.
func (c contact) better(old contact) bool {
	switch {
	case c.Heard == nil:
		return old.Heard == nil && old.Connected == nil
	case old.Heard == nil:
		return true
	}
	return c.Heard.After(*old.Heard)
}

// contacts returns what can be had of all sessions' connections; own is a session that was heard just now. Servers that
// do not tell are passed over.
func (a *asker) contacts(ctx context.Context, own sessionID, now time.Time) map[sessionID]contact {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex // guards found
		found = make(map[sessionID]contact)
	)
	add := func(list map[sessionID]contact) {
		mu.Lock()
		defer mu.Unlock()
		for id, c := range list {
			if old, ok := found[id]; !ok || c.better(old) {
				found[id] = c
			}
		}
	}
	for _, server := range a.servers {
		wg.Go(func() {
			if text, err := a.word(ctx, server, "cons"); err == nil {
				add(parseConnections(text, server, own, now))
			}
		})
	}
	for _, o := range a.admins {
		wg.Go(func() { add(a.adminContacts(ctx, o, own, now)) })
	}
	wg.Wait()
	return found
}

// ownSession is the client's, 0 if it has none.
func ownSession(ctx context.Context, c *client.Client) sessionID {
	s, err := c.Session(ctx)
	if err != nil {
		return 0
	}
	return sessionID(s.ID())
}

// consLine is a line of cons: " /127.0.0.1:4711[1](queued=0,recved=3,…,sid=0x1,lop=PING,est=…,to=10000,…,lresp=…,…)".
var consLine = regexp.MustCompile(`^ */(.*)\[[0-9]+\]\((.*)\)$`)

func parseConnections(text, server string, own sessionID, now time.Time) map[sessionID]contact {
	var list []connection
	for line := range strings.Lines(text) {
		m := consLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if m == nil {
			continue
		}
		c := connection{Remote: m[1]}
		for field := range strings.SplitSeq(m[2], ",") {
			key, value, _ := strings.Cut(field, "=")
			switch key {
			case "sid":
				c.Session = numeral(value)
			case "est":
				c.Established = numeral(value)
			case "to":
				c.Timeout = numeral(value)
			case "lresp":
				c.LastResponse = numeral(value)
			}
		}
		list = append(list, c)
	}
	return contactsOf(list, server, own, now)
}

// connection is one of the operators' "connections".
type connection struct {
	Remote       string  `json:"remote_socket_address"`
	Session      numeral `json:"session_id"`
	Established  numeral `json:"established"`
	Timeout      numeral `json:"session_timeout"`
	LastResponse numeral `json:"last_response_time"`
}

// wallClock is where the milliseconds of clocks that tell the time begin for us: in the year 2001.
const wallClock = 1e12

// wallTime is the time that a server tells; nil if it can be none, for its clock began anywhere or its number is none of a
// year that JSON can say.
func wallTime(ms int64) *time.Time {
	t := nodeTime(ms)
	if ms <= wallClock || t.IsZero() {
		return nil
	}
	return &t
}

// contactsOf turns a server's connections into contacts. ZooKeeper tells the time of the last response by a clock that
// began anywhere: it says something only beside that of our own session, which was heard just now.
func contactsOf(list []connection, server string, own sessionID, now time.Time) map[sessionID]contact {
	found := make(map[sessionID]contact, len(list))
	just := int64(0)
	for _, c := range list {
		if id, ok := parseSession(c.Session); ok && id == own {
			just = integer(c.LastResponse)
		}
	}
	for _, c := range list {
		id, ok := parseSession(c.Session)
		if !ok || id == 0 {
			continue
		}
		x := contact{Server: server, Client: strings.TrimPrefix(c.Remote, "/"), TimeoutMS: integer(c.Timeout)}
		x.Connected = wallTime(integer(c.Established))
		ms := integer(c.LastResponse)
		if x.Heard = wallTime(ms); x.Heard == nil && ms > 0 && just > 0 {
			heard := now.Add(time.Duration(max(min(ms-just, 0), -wallClock)) * time.Millisecond)
			x.Heard = &heard
		}
		found[id] = x
	}
	return found
}

// adminContacts asks one server over HTTP. The leader tells, too, when sessions end that have no connection.
func (a *asker) adminContacts(ctx context.Context, o *operator, own sessionID, now time.Time) map[sessionID]contact {
	var conns struct {
		Connections []connection `json:"connections"`
		Secure      []connection `json:"secure_connections"`
	}
	if a.command(ctx, o, "connections", &conns) != nil {
		return nil
	}
	found := contactsOf(append(conns.Connections, conns.Secure...), o.admin, own, now)
	var dump struct {
		Expiry map[string][]numeral `json:"expiry_time_to_session_ids"`
	}
	if a.command(ctx, o, "dump", &dump) != nil {
		return found
	}
	for at, ids := range dump.Expiry {
		ms := integer(numeral(at))
		for _, n := range ids {
			if id, ok := parseSession(n); ok {
				if expires := wallTime(ms); expires != nil && found[id] == (contact{}) {
					found[id] = contact{Server: o.admin, Expires: expires}
				}
			}
		}
	}
	return found
}

// numeral is a number as servers write it: ZooKeeper as one, docent a session's as text.
type numeral string

// UnmarshalJSON takes both.
func (n *numeral) UnmarshalJSON(text []byte) error {
	*n = numeral(strings.Trim(string(text), `"`))
	return nil
}

// parseSession reads a session's number: 0x… in words, decimal in ZooKeeper's JSON.
func parseSession(n numeral) (sessionID, bool) {
	text := string(n)
	if hex, ok := strings.CutPrefix(text, "0x"); ok {
		v, err := strconv.ParseUint(hex, 16, 64)
		return sessionID(v), err == nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	return sessionID(v), err == nil
}

// integer reads a number, 0 if it is none.
func integer(n numeral) int64 {
	v, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil {
		return 0
	}
	return v
}

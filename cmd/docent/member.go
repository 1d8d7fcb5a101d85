package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"text/tabwriter"

	"github.com/docent-io/docent/server"
)

const memberHelp = `usage: docent member list     --admin HOST:PORT
       docent member add      --admin HOST:PORT ID PEERHOST:PEERPORT [--observer]
       docent member remove   --admin HOST:PORT ID
       docent member transfer --admin HOST:PORT ID

Changes the members of a running ensemble through the address for operators of
any of them, one at a time, and prints the members then.

add wants a server that waits to be added: docent serve --join. It gets a vote
when it has caught up. Adding a member in its other role changes its role.
remove stops a server for good; to come back it begins with an empty data
folder and --join. transfer hands the lead to a member.

Flags:
`

// memberVerbs are the changes, by the number of arguments they take.
var memberVerbs = map[string]int{"list": 0, "add": 2, "remove": 1, "transfer": 1}

// member tells who belongs to an ensemble, and changes it.
func member(ctx context.Context, e env) error {
	o := newOperator("member")
	o.sends = "application/json"
	observer := o.fs.Bool("observer", false, "of add: without a vote")
	args, err := parseMixed(o.fs, e, memberHelp)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return usageError{errors.New("want list, add, remove or transfer")}
	}
	verb, args := args[0], args[1:]
	n, ok := memberVerbs[verb]
	switch {
	case !ok:
		return usageError{fmt.Errorf("%q: want list, add, remove or transfer", verb)}
	case len(args) != n:
		return usageError{fmt.Errorf("%s: want %d arguments behind it, not %d", verb, n, len(args))}
	case *observer && verb != "add":
		return usageError{fmt.Errorf("%s: --observer is for add", verb)}
	}
	m, err := parseMember(args)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", verb, err)}
	}
	if err := o.complete(e); err != nil {
		return err
	}
	m.Observer = *observer
	return o.member(ctx, verb, m, e.stdout)
}

func parseMember(args []string) (m server.Member, err error) {
	if len(args) > 0 {
		if m.ID, err = strconv.ParseUint(args[0], 10, 8); err != nil || m.ID < 1 || m.ID > 254 {
			return m, fmt.Errorf("%q: want the number of a member, 1 to 254", args[0])
		}
	}
	if len(args) > 1 {
		m.Addr = args[1]
		if host, port, err := net.SplitHostPort(m.Addr); err != nil || host == "" || port == "" {
			return m, fmt.Errorf("%q: want the peer address of the member, HOST:PORT", m.Addr)
		}
	}
	return m, nil
}

// parseMixed reads flags before, between and behind arguments.
func parseMixed(fs *flag.FlagSet, e env, help string) (args []string, err error) {
	for rest := e.args; ; {
		switch err := fs.Parse(rest); {
		case errors.Is(err, flag.ErrHelp):
			fmt.Fprint(e.stdout, help)
			fs.SetOutput(e.stdout)
			fs.PrintDefaults()
			return nil, err
		case err != nil:
			return nil, usageError{err}
		case fs.NArg() == 0:
			return args, nil
		}
		args, rest = append(args, fs.Arg(0)), fs.Args()[1:]
	}
}

// member asks for a list or a change, and prints the members then.
func (o *operator) member(ctx context.Context, verb string, m server.Member, w io.Writer) error {
	method, command, body := http.MethodGet, "member", []byte(nil)
	if verb != "list" {
		method, command = http.MethodPost, "member/"+verb
		var err error
		if body, err = json.Marshal(m); err != nil {
			return err
		}
	}
	resp, err := o.request(ctx, method, command, nil, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		Members []server.Member
		Leader  uint64
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: what it answers is no list of members: %w", o.admin, err)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, m := range answer.Members {
		role := "voter"
		switch {
		case m.Observer:
			role = "observer"
		case m.ID == answer.Leader:
			role = "leader"
		}
		fmt.Fprintf(table, "%d\t%s\t%s\n", m.ID, m.Addr, role)
	}
	return table.Flush()
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/server"
)

// memberVerb changes the members of a running ensemble through the address for operators of any of them.
func memberVerb(e env) *cobra.Command {
	return parent("member", "list, add and remove members of a running ensemble, move its lead",
		memberChange(e, &cobra.Command{Use: "list", Short: "print the members", Args: noArgs,
			Example: "  docent member list --admin 127.0.0.1:8080"}),
		memberChange(e, &cobra.Command{Use: "add ID PEERHOST:PEERPORT", Short: "add a server, or change a member's role", Args: exactArgs("ID", "PEERHOST:PEERPORT"),
			Long: `Adds a server that waits to be added: docent serve --join. It gets a vote when
it has caught up. Adding a member in its other role changes its role.`,
			Example: "  docent member add --admin 127.0.0.1:8080 5 10.0.0.5:2888"}),
		memberChange(e, &cobra.Command{Use: "remove ID", Short: "remove a member for good", Args: exactArgs("ID"),
			Long:    "Stops a server for good; to come back it begins with an empty data folder and\n--join.",
			Example: "  docent member remove --admin 127.0.0.1:8080 5"}),
		memberChange(e, &cobra.Command{Use: "transfer ID", Short: "hand the lead to a member", Args: exactArgs("ID"),
			Example: "  docent member transfer --admin 127.0.0.1:8080 2"}),
	)
}

// memberChange completes a verb that asks for a list or a change.
func memberChange(e env, cmd *cobra.Command) *cobra.Command {
	o := addOperator(cmd, e)
	o.sends = "application/json"
	out := addOutput(cmd)
	observer := false
	if cmd.Name() == "add" {
		cmd.Flags().BoolVar(&observer, "observer", false, "without a vote")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := parseMember(args)
		if err != nil {
			return usageError(err)
		}
		if err := errors.Join(out.check(), o.complete()); err != nil {
			return err
		}
		m.Observer = observer
		return o.member(cmd.Context(), cmd.Name(), m, out, e.stdout)
	}
	return cmd
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

// listPatience bounds what needs no majority and changes nothing; a change takes as long as the members need.
const listPatience = timeLimit(30 * time.Second)

// member asks for a list or a change, and prints the members then.
func (o *operator) member(ctx context.Context, verb string, m server.Member, out *output, w io.Writer) error {
	method, command, body := http.MethodGet, "member", []byte(nil)
	if verb == "list" {
		var cancel context.CancelFunc
		limit := listPatience
		ctx, cancel = limit.bound(ctx)
		defer cancel()
	} else {
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
	var answer memberList
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: what it answers is no list of members: %w", o.admin, err)
	}
	members := memberLines(answer)
	return all(out, w, members, func(w io.Writer) error {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, m := range members {
			fmt.Fprintf(table, "%d\t%s\t%s\n", m.ID, m.Addr, m.Role)
		}
		return table.Flush()
	})
}

// memberList is what a server answers.
type memberList struct {
	Members []server.Member
	Leader  uint64
}

func memberLines(answer memberList) []memberLine {
	lines := make([]memberLine, 0, len(answer.Members))
	for _, m := range answer.Members {
		role := "voter"
		switch {
		case m.Observer:
			role = "observer"
		case m.ID == answer.Leader:
			role = "leader"
		}
		lines = append(lines, memberLine{m.ID, m.Addr, role})
	}
	return lines
}

// memberLine is a member as the command prints it.
type memberLine struct {
	ID   uint64 `json:"id"`
	Addr string `json:"address"`
	Role string `json:"role"` // voter, leader or observer
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

// aclLetters are the permissions as people write them, in the order of their bits.
const aclLetters = "rwcda"

func aclVerb(e env) *cobra.Command {
	return parent("acl", "who may do what with a znode", aclGetVerb(e), aclSetVerb(e), aclDigestVerb(e))
}

// accessList is the ACL of a node as it is printed.
type accessList struct {
	Path    string   `json:"path"`
	ACL     []string `json:"acl"`
	Version int32    `json:"version"`
}

func (a accessList) print(out *output, w io.Writer) error {
	return out.one(w, a, func(w io.Writer) error {
		for _, entry := range a.ACL {
			if _, err := fmt.Fprintln(w, printable(entry)); err != nil {
				return err
			}
		}
		return nil
	})
}

func aclGetVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "get PATH", Short: "print the ACL of a znode",
		Long:    "Prints the ACL of a znode, an entry a line, in the form that acl set reads.",
		Example: "  docent acl get /config",
		Args:    exactArgs("PATH"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	timeout := addTimeout(cmd)
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := out.check(); err != nil {
			return err
		}
		return r.run(cmd, timeout, func(ctx context.Context, c *client.Client) error {
			path := r.path(args[0])
			acl, stat, err := c.GetACL(ctx, path)
			if err != nil {
				return err
			}
			return accessList{path, formatACL(acl), stat.Aversion}.print(out, e.stdout)
		})
	}
	return cmd
}

func aclSetVerb(e env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "set PATH ENTRY...", Short: "replace the ACL of a znode",
		Long: `Replaces the ACL of a znode. An ENTRY is SCHEME:ID:PERMISSIONS, and the
permissions are letters of rwcda: read, write, create and delete children,
administer (set the ACL). Entries may also come in one, with commas between.

    world:anyone:r        everybody may read
    auth::rwcda           who holds an identity of this connection (--auth)
    digest:ann:HASH:rwcda who knows ann's password; acl digest makes the hash
    ip:10.0.0.0/8:r       who comes from there
    x509:CN=ann:rwcda     who shows that certificate`,
		Example: "  docent acl set /config world:anyone:r digest:ann:rHLZ...=:rwcda",
		Args:    someArgs("PATH", "ENTRY"),
	}
	r, out := addRemote(cmd, e), addOutput(cmd)
	version := addVersion(cmd, "the ACL")
	timeout := addTimeout(cmd)
	cmd.ValidArgsFunction = r.completePath
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		acl, err := parseACL(args[1:])
		if err != nil {
			return usageError(err)
		}
		if err := out.check(); err != nil {
			return err
		}
		return r.run(cmd, timeout, func(ctx context.Context, c *client.Client) error {
			path := r.path(args[0])
			stat, err := c.SetACL(ctx, path, acl, *version)
			if err != nil || !out.json && out.tmpl == nil {
				return err
			}
			return accessList{path, formatACL(acl), stat.Aversion}.print(out, e.stdout)
		})
	}
	return cmd
}

func aclDigestVerb(e env) *cobra.Command {
	return &cobra.Command{
		Use: "digest USER:PASSWORD", Short: "print the ACL entry of a user and a password",
		Long: `Prints the ACL entry that lets who authenticates with --auth USER:PASSWORD do
everything. It needs no server. USER:PASSWORD is read from stdin if it is -.`,
		Example: "  docent acl set /config \"$(docent acl digest ann:secret)\"",
		Args:    exactArgs("USER:PASSWORD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret := args[0]
			if secret == "-" {
				text, err := e.data(cmd.Context(), secret)
				if err != nil {
					return err
				}
				secret = strings.TrimRight(string(text), "\r\n")
			}
			user, password, ok := strings.Cut(secret, ":")
			if !ok || user == "" {
				return usagef("want USER:PASSWORD")
			}
			_, err := fmt.Fprintln(e.stdout, printable(formatACL(client.DigestACL(client.PermAll, user, password))[0]))
			return err
		},
	}
}

// parseACL reads entries; a text may hold several with commas between. A comma may also be part of an identity, so an
// entry ends at a comma only where it is complete.
func parseACL(texts []string) (acl []client.ACL, err error) {
	for _, text := range texts {
		entry := ""
		for piece := range strings.SplitSeq(text, ",") {
			entry += piece
			a, ok := parseEntry(entry)
			if !ok || a.Perms == 0 {
				entry += ","
				continue
			}
			acl, entry = append(acl, a), ""
		}
		if entry != "" {
			return nil, fmt.Errorf("%q: want SCHEME:ID:PERMISSIONS, with permissions of %s", strings.TrimSuffix(entry, ","), aclLetters)
		}
	}
	if len(acl) == 0 {
		return nil, errors.New("an ACL has at least one entry")
	}
	return acl, nil
}

func parseEntry(s string) (a client.ACL, ok bool) {
	last := strings.LastIndexByte(s, ':')
	if last < 0 {
		return a, false
	}
	head, letters := s[:last], s[last+1:]
	a.Scheme, a.ID, _ = strings.Cut(head, ":")
	for _, l := range letters {
		bit := strings.IndexRune(aclLetters, l)
		if bit < 0 {
			return a, false
		}
		a.Perms |= 1 << bit
	}
	return a, a.Scheme != ""
}

// formatACL writes entries as parseACL reads them.
func formatACL(acl []client.ACL) []string {
	entries := make([]string, 0, len(acl))
	for _, a := range acl {
		letters := ""
		for bit, l := range aclLetters {
			if a.Perms&(1<<bit) != 0 {
				letters += string(l)
			}
		}
		entries = append(entries, a.Scheme+":"+a.ID+":"+letters)
	}
	return entries
}

package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/docent-io/docent/client"
)

// connect lets the story take place on an ensemble that is there already, below a fresh path that it removes at the end.
func (s *story) connect() error {
	s.title("An ensemble is there already")
	owner, err := s.dial("owner")
	if err != nil {
		return err
	}
	node, err := owner.Create(s.ctx, "/docent-gateway-", nil, client.Sequential(), client.Parents())
	if err != nil {
		return errors.Join(fmt.Errorf("make a path for the story: %w", err), owner.Close())
	}
	home := node.Path // the servers have put a number behind the name that nobody else gets
	s.atEnd(func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 3*time.Second)
		defer cancel()
		return errors.Join(removeAll(ctx, owner.Client, home), owner.Close())
	})
	s.base.Chroot = path.Join("/", s.base.Chroot, home)
	s.tells("%s: everything takes place below %s", strings.Join(s.base.Servers, ", "), s.base.Chroot)
	if s.operator, err = s.spawn("operator"); err != nil {
		return err
	}
	const name, text = "greeting", "hello"
	if _, err := s.operator.Create(s.ctx, name, []byte(text)); err != nil {
		return err
	}
	node, err = owner.Get(s.ctx, path.Join(home, name), client.Fresh())
	if err != nil {
		return err
	}
	s.claim(string(node.Data) == text, "what one session writes, another one reads")
	return nil
}

// removeAll removes a node and all below it, from the leaves up. What is gone already does not matter: the servers
// remove empty containers, too.
func removeAll(ctx context.Context, c *client.Client, dir string) error {
	names, _, err := c.Children(ctx, dir, client.Fresh())
	for _, name := range names {
		err = errors.Join(err, removeAll(ctx, c, path.Join(dir, name)))
	}
	if err == nil {
		err = c.Delete(ctx, dir, -1)
	}
	if errors.Is(err, client.ErrNoNode) {
		return nil
	}
	return err
}

package lock_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/lock"
)

// grip is what a way of locking has got hold of.
type grip struct {
	ctx    context.Context
	token  uint64
	unlock func(context.Context) error
}

// way is a way of locking, docent's or a naive one, and how long is waited for what may never come of it.
type way struct {
	lock     func(ctx context.Context, c *client.Client, path string) (*grip, error)
	patience time.Duration
}

func docent(ctx context.Context, c *client.Client, path string) (*grip, error) {
	h, err := lock.New(c, path).Lock(ctx)
	if err != nil {
		return nil, err
	}
	return &grip{h.Context(), h.Token(), h.Unlock}, nil
}

// naive is the recipe as textbooks have it. Each of its flags brings a bug back that somebody has shipped.
type naive struct {
	missingIsFirst bool   // "nothing below me": also when the list is without our own node
	unsynced       bool   // looks for a node whose reply was lost without a sync
	herd           bool   // waits for any change of the directory
	stray          bool   // watches with exists, and so leaves watches on what is gone
	strictNames    bool   // fails at a name that it cannot parse
	deaf           bool   // does not hear of the session while it waits
	ownName        string // instead of a new GUID each time
	sessionName    bool   // the name is made of the session's id
	callersContext bool   // cleans up with a context that is over
	oneDelete      bool   // deletes once, and forgets
	seqToken       bool   // the token is the sequence number
	mute           bool   // does not tell the holder of a loss
	lateDeadline   bool   // counts the timeout from when the loss of the connection is noticed
	boundToAcquire bool   // what is held ends with the context of Lock
	nothing        bool   // returns neither a lock nor an error in the end
}

func (n naive) lock(ctx context.Context, c *client.Client, path string) (*grip, error) {
	s, err := c.Session(ctx)
	if err != nil {
		return nil, err
	}
	own, err := n.enter(ctx, s, path)
	if err != nil {
		return nil, err
	}
	if err := n.wait(ctx, s, path, own); err != nil {
		n.leave(ctx, s, path+"/"+own)
		if n.nothing {
			return nil, nil
		}
		return nil, err
	}
	return n.grip(ctx, s, path, own)
}

// enter makes a node and returns its name.
func (n naive) enter(ctx context.Context, s *client.Session, path string) (string, error) {
	prefix := "_c_" + uuid.NewString() + "-lock-"
	if n.ownName != "" {
		prefix = "_c_" + n.ownName + "-lock-"
		if names, _, err := s.Children(ctx, path); err == nil {
			if i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, prefix) }); i >= 0 {
				return names[i], nil
			}
		}
	}
	options := []client.CreateOption{client.Ephemeral(), client.Sequential(), client.Parents()}
	if n.sessionName {
		prefix, options = fmt.Sprintf("_c_%x-lock-0000000000", uint64(s.ID())), []client.CreateOption{client.Ephemeral(), client.Parents()}
	}
	for {
		node, err := s.Create(ctx, path+"/"+prefix, nil, options...)
		switch {
		case err == nil:
			return strings.TrimPrefix(node.Path, path+"/"), nil
		case errors.Is(err, client.ErrNodeExists) && n.sessionName:
			return prefix, nil
		case !errors.Is(err, client.ErrMaybeApplied) || ctx.Err() != nil:
			if !n.callersContext {
				s.DeleteGuarded(path, prefix)
			}
			return "", err
		}
		var read []client.ReadOption
		if !n.unsynced {
			read = append(read, client.Fresh())
		}
		names, _, err := s.Children(ctx, path, read...)
		if err != nil && !errors.Is(err, client.ErrNoNode) {
			return "", err
		}
		if i := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, prefix) }); i >= 0 {
			return names[i], nil
		}
	}
}

func number(name string) string { return name[max(0, len(name)-10):] }

// wait waits until nobody is ahead of own.
func (n naive) wait(ctx context.Context, s *client.Session, path, own string) error {
	for {
		names, _, herd, err := s.ChildrenW(ctx, path)
		if err != nil && n.deaf && ctx.Err() == nil {
			if s, err = s.Client().Session(ctx); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		if !n.herd {
			herd.Close()
		}
		if i := slices.IndexFunc(names, func(name string) bool { return !strings.Contains(name, "-lock-") }); i >= 0 && n.strictNames {
			return fmt.Errorf("cannot parse %s", names[i])
		}
		slices.SortFunc(names, func(a, b string) int { return strings.Compare(number(a), number(b)) })
		if !slices.Contains(names, own) && !n.missingIsFirst {
			return errors.New("own node is gone")
		}
		ahead := ""
		for _, name := range names {
			if strings.Contains(name, "-lock-") && number(name) < number(own) {
				ahead = name
			}
		}
		if ahead == "" {
			return nil
		}
		if err := n.sleep(ctx, s, path+"/"+ahead, herd); err != nil && (!n.deaf || ctx.Err() != nil) {
			return err
		}
	}
}

func (n naive) sleep(ctx context.Context, s *client.Session, ahead string, herd *client.Watch) (err error) {
	w := herd
	switch {
	case n.herd:
	case n.stray:
		var there bool
		if _, there, w, err = s.ExistsW(ctx, ahead); err == nil && !there {
			return nil
		}
	default:
		if _, w, err = s.GetW(ctx, ahead); errors.Is(err, client.ErrNoNode) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	_, err = w.Wait(ctx)
	return err
}

// leave deletes a node.
func (n naive) leave(ctx context.Context, s *client.Session, node string) {
	switch {
	case n.oneDelete:
		_ = s.Delete(ctx, node, -1)
	case n.callersContext:
		if ctx.Err() == nil {
			_ = s.DeleteGuaranteed(ctx, node)
		}
	default:
		_ = s.DeleteGuaranteed(context.WithoutCancel(ctx), node)
	}
}

func (n naive) grip(ctx context.Context, s *client.Session, path, own string) (*grip, error) {
	node := path + "/" + own
	g := &grip{ctx: s.Lease()}
	switch {
	case n.mute:
		g.ctx = context.Background()
	case n.boundToAcquire:
		g.ctx = ctx
	case n.lateDeadline:
		held, lose := context.WithCancel(context.Background())
		g.ctx = held
		go func() {
			defer lose()
			for state := range s.Client().States(context.WithoutCancel(ctx)) {
				if state != client.Connected {
					break
				}
			}
			<-time.After(s.Timeout())
		}()
	}
	if n.seqToken {
		_, err := fmt.Sscanf(number(own), "%d", &g.token)
		g.unlock = func(ctx context.Context) error { n.leave(ctx, s, node); return nil }
		return g, err
	}
	stat, _, err := s.Exists(ctx, node)
	g.token = uint64(stat.Czxid)
	g.unlock = func(ctx context.Context) error { n.leave(ctx, s, node); return nil }
	return g, err
}

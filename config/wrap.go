package config

import (
	"context"
	"errors"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// unwrap takes a node on from version −1, which it reaches after 2³² − 1 writes: in the protocol −1 means any version, so
// a compare-and-set against it would be a blind write (CURATOR-688). It rewrites the data as they are, under an
// ephemeral lock node, so that of those who know of this only one does, and nobody's write in between is lost.
func unwrap(ctx context.Context, s *client.Session, path string) error {
	lock := zpath.Join(path, "version-wrap")
	_, err := s.Create(ctx, lock, nil, client.Ephemeral())
	switch {
	case errors.Is(err, client.ErrNodeExists):
		_, there, w, err := s.ExistsW(ctx, lock)
		if err != nil {
			return err
		}
		defer w.Close()
		if there {
			_, err = w.Wait(ctx)
		}
		return err
	case err != nil:
		return err
	}
	node, err := get(ctx, s, path)
	if err == nil && node.there && node.Stat.Version == -1 {
		_, err = s.Txn().Check(lock, -1).Set(path, node.Data, -1).Commit(ctx)
	}
	return errors.Join(err, s.DeleteGuaranteed(ctx, lock))
}

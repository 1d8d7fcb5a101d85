package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// A backup is a snapshot of the tree as [tree.Snapshot] writes it, and nothing else: it tells by itself whether it is
// whole. It is taken from one server and restored through the log, so that every member gets it, or none.
const (
	backupType = "application/octet-stream"
	zxidHeader = "last_zxid" // ZooKeeper's name
	partSize   = 256 << 10
	// partTimeout is how long a part of a backup may take to be committed, and the whole of it to replace the tree.
	partTimeout = time.Minute
)

// BackupInfo says what a backup holds.
type BackupInfo struct {
	Zxid                        int64 // of its last transaction
	Nodes, Ephemerals, Sessions int
	Bytes                       int64 // of paths and data
}

// CheckBackup reads a backup to its end and says what it holds, or where it is damaged.
func CheckBackup(r io.Reader) (BackupInfo, error) {
	t, err := tree.Restore(bufio.NewReaderSize(r, 1<<20))
	if err != nil {
		return BackupInfo{}, err
	}
	c := t.Counts()
	return BackupInfo{Zxid: t.Zxid(), Nodes: c.Nodes, Ephemerals: c.Ephemerals, Sessions: c.Sessions, Bytes: c.DataSize}, nil
}

// authorized tells whether the sender of an operator's request may do everything below the root. Who it is says the
// header Authorization, "digest USER:PASSWORD", as in ZooKeeper. If not, the request is answered.
func (s *Server) authorized(w http.ResponseWriter, r *http.Request) bool {
	ids := []wire.ID{{Scheme: "ip", ID: r.RemoteAddr}}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		ids[0].ID = host
	}
	if scheme, secret, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "digest") {
		id := wire.ID{Scheme: "digest", ID: tree.DigestID([]byte(secret))}
		if id.ID == s.cfg.SuperDigest {
			ids = append(ids, wire.ID{Scheme: "super"})
		}
		ids = append(ids, id)
	}
	s.state.mu.RLock()
	acl := s.state.tree.Node("/").ACL()
	s.state.mu.RUnlock()
	for perm := int32(1); perm < wire.PermAll; perm <<= 1 {
		if !tree.Allowed(acl, perm, ids) {
			s.stats.authFailed.Add(1)
			w.Header().Set("WWW-Authenticate", "digest")
			http.Error(w, "this needs all permissions on /", http.StatusUnauthorized)
			return false
		}
	}
	return true
}

// serveSnapshot sends a backup. It holds everything that had been acknowledged when it was asked for, by whatever server;
// with ?local=true what this server has, which works without a majority, too.
func (s *Server) serveSnapshot(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(w, r) {
		return
	}
	if !s.backingUp.TryLock() { // what a snapshot holds on to is freed when it is sent: one at a time
		http.Error(w, "another backup is being taken from this server", http.StatusTooManyRequests)
		return
	}
	defer s.backingUp.Unlock()
	if r.FormValue("local") != "true" {
		ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Limits.Handshake)
		err := s.replica.Sync(ctx)
		cancel()
		if err != nil {
			http.Error(w, "this server cannot prove to be up to date: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	s.state.mu.Lock()
	snap := s.state.tree.Snapshot()
	s.state.mu.Unlock()
	w.Header().Set("Content-Type", backupType)
	w.Header()[zxidHeader] = []string{fmt.Sprintf("0x%x", snap.Zxid())}
	n, err := snap.WriteTo(w)
	if err != nil {
		s.log.Warn("backup broken off", "bytes", n, "error", err)
		panic(http.ErrAbortHandler) // net/http's way to break the connection, so that nobody takes it for the end
	}
	s.log.Info("backup taken", "zxid", fmt.Sprintf("0x%x", snap.Zxid()), "bytes", n, "by", r.RemoteAddr)
}

// serveRestore restores a backup, through any server, into an ensemble that has no nodes; ?force=true: into any.
// ?zxid-above=N makes the next zxid larger than N.
func (s *Server) serveRestore(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(w, r) {
		return
	}
	// A page in a browser on this machine cannot send this type without asking first.
	if r.Header.Get("Content-Type") != backupType {
		http.Error(w, "want a backup as "+backupType, http.StatusUnsupportedMediaType)
		return
	}
	// By the clock, zxids outrun those of any ensemble that made fewer than 16 million a second since 1970; so they
	// exceed those given after the backup, too.
	floor := time.Now().Unix() << 24
	if text := r.FormValue("zxid-above"); text != "" {
		n, err := strconv.ParseInt(text, 0, 64)
		if err != nil || n < 0 {
			http.Error(w, "zxid-above: want a number", http.StatusBadRequest)
			return
		}
		floor = max(floor, n)
	}
	// Whoever has a backup of a gigabyte may need longer than any time-out of this listener; each part has its own.
	res, err := s.restore(r.Context(), r.Body, tree.Part{ID: time.Now().UnixNano(), Floor: floor, Force: r.FormValue("force") == "true"})
	switch {
	case errors.Is(err, wire.ErrNotEmpty):
		http.Error(w, "the ensemble has nodes of its own", http.StatusConflict)
	case errors.Is(err, wire.ErrBadVersion):
		http.Error(w, "another restore has begun", http.StatusConflict)
	case errors.Is(err, wire.ErrMarshalling):
		http.Error(w, "the backup is damaged, or was cut off on its way", http.StatusUnprocessableEntity)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		s.log.Warn("backup restored", "zxid", fmt.Sprintf("0x%x", res.Zxid), "by", r.RemoteAddr)
		w.Header()[zxidHeader] = []string{fmt.Sprintf("0x%x", res.Zxid)}
	}
}

// restore proposes a backup part by part. The error of a transaction is its code.
func (s *Server) restore(ctx context.Context, r io.Reader, p tree.Part) (res tree.Result, err error) {
	buf := make([]byte, partSize)
	br := bufio.NewReader(r)
	for !p.Last {
		n, err := io.ReadFull(br, buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return res, fmt.Errorf("read backup: %w", err)
		}
		_, more := br.Peek(1)
		p.Data, p.Last = buf[:n], more != nil
		if more != nil && !errors.Is(more, io.EOF) {
			return res, fmt.Errorf("read backup: %w", more)
		}
		if res, err = s.ask(ctx, &tree.Txn{Op: tree.OpRestore, Part: p}); err != nil {
			return res, err
		}
		if res.Err != wire.OK {
			return res, res.Err
		}
		p.Number++
	}
	return res, nil
}

// ask proposes a transaction of the server's own and waits for its result.
func (s *Server) ask(ctx context.Context, x *tree.Txn) (tree.Result, error) {
	a := &asked{result: make(chan tree.Result, 1)}
	if err := s.replica.Propose(a, x.Append(nil)); err != nil {
		return tree.Result{}, err
	}
	timer := time.NewTimer(partTimeout)
	defer timer.Stop()
	select {
	case res := <-a.result:
		return res, nil
	case <-ctx.Done():
		return tree.Result{}, context.Cause(ctx)
	case <-s.closed:
		return tree.Result{}, ErrClosed
	case <-timer.C:
		return tree.Result{}, errors.New("not committed in time; whether it will be is not known")
	}
}

// asked waits for the result of a transaction of the server's own.
type asked struct{ result chan tree.Result } // of capacity 1

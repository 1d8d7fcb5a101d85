package fence_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/docent-io/docent/internal/interop/peers"
	"github.com/docent-io/docent/recipes/fence"
)

// database opens one database again and again.
type database struct {
	open    func(testing.TB) *sql.DB
	restart func() // after all that open returned were closed
}

func openDB(driver, source string) func(testing.TB) *sql.DB {
	return func(t testing.TB) *sql.DB {
		t.Helper()
		db, err := sql.Open(driver, source)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
}

// onDatabases runs a test on each kind of database, in which there is the table "tokens".
func onDatabases(t *testing.T, test func(*testing.T, database)) {
	on := func(t *testing.T, d database) {
		db := d.open(t)
		defer db.Close()
		for range 2 { // the second time does no harm
			if _, err := db.ExecContext(t.Context(), fence.SQLSchema("tokens")); err != nil {
				t.Fatal(err)
			}
		}
		test(t, d)
	}
	t.Run("SQLite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "fence.db")
		on(t, database{openDB("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)&_txlock=immediate"), func() {}})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		pg := peers.StartPostgres(t)
		on(t, database{openDB("pgx", pg.URL), pg.Restart})
	})
}

func mustAdmit(t testing.TB, g fence.Guard, resource string, token uint64) {
	t.Helper()
	if err := g.Admit(t.Context(), resource, token); err != nil {
		t.Errorf("Admit(%s, %d) = %v", resource, token, err)
	}
}

func mustRefuse(t testing.TB, g fence.Guard, resource string, token uint64) {
	t.Helper()
	if err := g.Admit(t.Context(), resource, token); !errors.Is(err, fence.ErrStaleToken) {
		t.Errorf("Admit(%s, %d) = %v, want ErrStaleToken", resource, token, err)
	}
}

func TestSQL(t *testing.T) {
	onDatabases(t, func(t *testing.T, d database) {
		t.Run("survives a restart", func(t *testing.T) { sqlSurvives(t, d) })
		t.Run("never falls", func(t *testing.T) { sqlNeverFalls(t, d) })
		t.Run("fences a transaction", func(t *testing.T) { sqlTransaction(t, d) })
		t.Run("refuses what it cannot keep", func(t *testing.T) { sqlRefuses(t, d) })
	})
}

func sqlSurvives(t *testing.T, d database) {
	db := d.open(t)
	g := fence.SQL(db, "tokens")
	mustAdmit(t, g, "a", 7)
	mustAdmit(t, g, "a", 7) // the same holder comes again
	mustAdmit(t, g, "b", 1) // each resource for itself
	mustAdmit(t, g, `c'"`, 1<<63-1)
	mustAdmit(t, g, "a", 9)
	mustRefuse(t, g, "a", 8)
	db.Close()
	d.restart()
	g = fence.SQL(d.open(t), "tokens")
	mustRefuse(t, g, "a", 8)
	mustAdmit(t, g, "a", 9)
	mustRefuse(t, g, "b", 0)
	mustRefuse(t, g, `c'"`, 9)
}

// Guards on connections of their own, as those of several processes, never let the tokens fall.
func sqlNeverFalls(t *testing.T, d database) {
	db := d.open(t)
	db.SetMaxOpenConns(4)
	g := fence.SQL(db, "tokens")
	var mu sync.Mutex // guards highest
	highest := uint64(0)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for token := uint64(i); token < 80; token += 4 {
				mu.Lock()
				floor := highest
				mu.Unlock()
				err := g.Admit(t.Context(), "x", token)
				switch {
				case err == nil && token < floor:
					t.Errorf("admitted %d after %d", token, floor)
				case err != nil && !errors.Is(err, fence.ErrStaleToken):
					t.Error(err)
				case err == nil:
					mu.Lock()
					highest = max(highest, token)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if highest != 79 {
		t.Errorf("the highest admitted is %d, want 79", highest)
	}
}

// Within a transaction the check and the work are one step: the next holder waits for it, and then bars the first one.
func sqlTransaction(t *testing.T, d database) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	db := d.open(t)
	begin := func() *sql.Tx {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	end := func(how func() error) {
		if err := how(); err != nil {
			t.Error(err)
		}
	}
	first := begin()
	mustAdmit(t, fence.SQL(first, "tokens"), "t", 5)
	admitted := make(chan error, 1)
	go func() { admitted <- fence.SQL(db, "tokens").Admit(ctx, "t", 6) }()
	select {
	case err := <-admitted:
		t.Fatalf("Admit ahead of the commit = %v", err)
	case <-time.After(30 * time.Millisecond):
	}
	end(first.Commit)
	if err := <-admitted; err != nil {
		t.Error(err)
	}
	late := begin()
	mustRefuse(t, fence.SQL(late, "tokens"), "t", 5)
	end(late.Rollback)
	undone := begin()
	mustAdmit(t, fence.SQL(undone, "tokens"), "t", 8)
	end(undone.Rollback)
	mustAdmit(t, fence.SQL(db, "tokens"), "t", 7) // nothing was done with 8
}

func sqlRefuses(t *testing.T, d database) {
	db := d.open(t)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range map[string]error{
		"a token of 64 bits":  fence.SQL(db, "tokens").Admit(t.Context(), "r", 1<<63),
		"an ended context":    fence.SQL(db, "tokens").Admit(over, "r", 9),
		"a table not there":   fence.SQL(db, "tokens2").Admit(t.Context(), "r", 9),
		"a name with a quote": fence.SQL(db, `tokens" (resource, token) VALUES ('r', 9); --`).Admit(t.Context(), "r", 9),
	} {
		if err == nil || errors.Is(err, fence.ErrStaleToken) {
			t.Errorf("Admit with %s = %v", what, err)
		}
	}
	mustAdmit(t, fence.SQL(db, "tokens"), "r", 1) // none of them was remembered
}

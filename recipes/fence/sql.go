package fence

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strings"
)

// Execer is what a guard needs of a database: a *sql.DB, or, so that the check and the work are one step, the *sql.Tx
// that does the work. It is called on the goroutine of Admit.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// SQL returns a guard that keeps the highest tokens in a table of a database; [SQLSchema] makes the table. It speaks to
// SQLite (3.24 or newer), PostgreSQL, and what understands their INSERT … ON CONFLICT. Each Admit is one statement, so
// it is atomic among all that use the table, and as durable as the database.
//
// With a transaction for db the work is fenced for good: whoever comes with a higher token waits for the commit, and a
// lower one is refused then. When the transaction is rolled back, so is what Admit has remembered.
//
//	if err := fence.SQL(tx, "tokens").Admit(ctx, "orders", held.Token()); err != nil {
//		return err
//	}
//	_, err := tx.ExecContext(ctx, "UPDATE orders SET …")
//
// Tokens are kept as signed numbers of 64 bits, as ZooKeeper's transactions are counted; one above that is refused.
// When the answer of the database is lost, a token may be remembered although Admit fails. That refuses nobody but
// lower ones.
func SQL(db Execer, table string) Guard {
	name := quote(table)
	return &sqlGuard{db, "INSERT INTO " + name + " AS seen (resource, token) VALUES ($1, $2)" +
		" ON CONFLICT (resource) DO UPDATE SET token = excluded.token WHERE seen.token <= excluded.token"}
}

// SQLSchema returns the statement that makes the table for [SQL], if there is none of that name. A dot in the name
// parts it from that of its schema. Names are quoted, so case matters where the database says so.
func SQLSchema(table string) string {
	return "CREATE TABLE IF NOT EXISTS " + quote(table) + " (resource TEXT PRIMARY KEY, token BIGINT NOT NULL)"
}

func quote(table string) string {
	parts := strings.Split(table, ".")
	for i, p := range parts {
		parts[i] = `"` + strings.ReplaceAll(p, `"`, `""`) + `"`
	}
	return strings.Join(parts, ".")
}

type sqlGuard struct {
	db     Execer
	upsert string // touches one row when the token is admitted, and none when it is stale
}

func (g *sqlGuard) Admit(ctx context.Context, resource string, token uint64) error {
	if token > math.MaxInt64 {
		return fmt.Errorf("fence %s: token %d is beyond 64 bits with a sign", resource, token)
	}
	result, err := g.db.ExecContext(ctx, g.upsert, resource, int64(token))
	if err != nil {
		return fmt.Errorf("fence %s: %w", resource, err)
	}
	switch rows, err := result.RowsAffected(); {
	case err != nil:
		return fmt.Errorf("fence %s: %w", resource, err)
	case rows == 0:
		return fmt.Errorf("%w: %d for %s, which has seen a higher one", ErrStaleToken, token, resource)
	}
	return nil
}

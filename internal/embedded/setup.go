package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "github.com/lib/pq" // The driver "postgres".
)

// setUp waits until the server lets us in, and makes what is missing of the role, its
// database and its rights: a first start may have been killed in between.
func (c *cluster) setUp(ctx context.Context) error {
	// Whoever has taken our port may accept and say nothing, and this driver opens a
	// connection without our context.
	db, err := sql.Open("postgres", c.url(superuser, "postgres")+"&connect_timeout=2")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := c.wait(ctx, db); err != nil {
		return err
	}
	rights := "NOCREATEDB"
	if c.ephemeral {
		rights = "CREATEDB"
	}
	// A utility statement takes no parameters; the password is ours, of letters and
	// digits.
	for _, step := range []struct{ unless, do string }{
		{`SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = '` + owner + `'`,
			`CREATE ROLE ` + owner + ` LOGIN ` + rights + ` PASSWORD '` + c.password + `'`},
		{`SELECT 1 FROM pg_catalog.pg_database WHERE datname = '` + database + `'`,
			`CREATE DATABASE ` + database + ` OWNER ` + owner},
	} {
		err := db.QueryRowContext(ctx, step.unless).Scan(new(int))
		if errors.Is(err, sql.ErrNoRows) {
			_, err = db.ExecContext(ctx, step.do)
		}
		if err != nil {
			return fmt.Errorf("set the cluster up: %w", err)
		}
	}
	err = db.QueryRowContext(ctx,
		`SELECT 1 FROM pg_catalog.pg_available_extensions WHERE name = 'btree_gist'`).Scan(new(int))
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("the Postgres programs in %s come without the extension btree_gist: install the package with their contrib modules (postgresql-contrib)", c.programs)
	}
	return err
}

// wait polls until the server lets us in or has ended. It answers nobody but who knows
// the password, and proves that it knows it too, so this is our server and no other one.
func (c *cluster) wait(ctx context.Context, db *sql.DB) error {
	for {
		if db.PingContext(ctx) == nil {
			return nil
		}
		select {
		case <-c.server.done:
			return fmt.Errorf("start Postgres: %w", explain(c.server.said(), c.server.err))
		default:
		}
		if pause(ctx, rhythm) != nil {
			return fmt.Errorf("start Postgres: %w", explain(c.server.said(), context.Cause(ctx)))
		}
	}
}

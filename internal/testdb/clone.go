package testdb

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/migrations"
)

var counter atomic.Int64

// clone makes a database of its own for a test, migrated or empty, and returns its URL.
func clone(t testing.TB, migrated bool) string {
	t.Helper()
	s, err := shared()
	require.NoError(t, err, "testdb: no Postgres to test with")
	from := "template0"
	if migrated {
		from, err = s.template()
		require.NoError(t, err, "testdb: migrate the template")
	}
	name := fmt.Sprintf("%s%d", s.run, counter.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, s.create(ctx, name, from), "testdb: clone")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if s.pooler != nil {
			if err := s.pooler.quiet(ctx, name); err != nil {
				t.Errorf("testdb: %v", err)
			}
		}
		if err := s.drop(ctx, name); err != nil {
			t.Errorf("testdb: %v", err)
		}
	})
	databaseURL, err := s.urlOf(name)
	if err == nil && s.pooler != nil {
		databaseURL, err = s.pooler.through(databaseURL)
	}
	require.NoError(t, err)
	return databaseURL
}

// makeTemplate migrates a database that nobody may connect to afterwards: Postgres clones
// only what nobody uses.
func (s *session) makeTemplate() (string, error) {
	name := s.run + "template"
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.create(ctx, name, "template0"); err != nil {
		return "", err
	}
	databaseURL, err := s.urlOf(name)
	if err != nil {
		return "", err
	}
	db, err := sql.Open("postgres", databaseURL)
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	if _, err := migrations.Up(ctx, db, migrations.All); err != nil {
		return "", err
	}
	if err := db.Close(); err != nil {
		return "", err
	}
	_, err = s.admin.ExecContext(ctx, `ALTER DATABASE "`+name+`" ALLOW_CONNECTIONS false`)
	return name, err
}

// create makes a database with the settings of this run. The names are ours, of letters,
// digits and underscores.
func (s *session) create(ctx context.Context, name, from string) error {
	if _, err := s.admin.ExecContext(ctx, `CREATE DATABASE "`+name+`" TEMPLATE "`+from+`"`+s.strategy); err != nil {
		return fmt.Errorf("create %s from %s: %w", name, from, err)
	}
	// A clone does not inherit them from its template.
	return s.applySettings(ctx, name)
}

// urlOf is the server's URL with another database.
func (s *session) urlOf(database string) (string, error) {
	u, err := url.Parse(s.url)
	if err != nil {
		return "", fmt.Errorf("read the server's URL: %w", err)
	}
	u.Path = "/" + database
	return u.String(), nil
}

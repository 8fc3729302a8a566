package testdb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/migrations"
)

// patience bounds every statement of this package.
const patience = 60 * time.Second

// run tells the databases of this test binary from those of others on the same server.
var run = rand.Text()[:10]

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
	name := fmt.Sprintf("booking_test_%s_%d", run, counter.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err = s.admin.ExecContext(ctx, `CREATE DATABASE "`+name+`" TEMPLATE "`+from+`"`)
	require.NoError(t, err, "testdb: clone %s", from)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := s.admin.ExecContext(ctx, `DROP DATABASE IF EXISTS "`+name+`" WITH (FORCE)`); err != nil {
			t.Errorf("testdb: drop %s: %v", name, err)
		}
	})
	return s.urlOf(name)
}

// makeTemplate migrates a database that nobody may connect to afterwards: Postgres clones only what nobody uses.
func (s *server) makeTemplate() (string, error) {
	name := "booking_test_" + run + "_template"
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := s.admin.ExecContext(ctx, `CREATE DATABASE "`+name+`" TEMPLATE template0`); err != nil {
		return "", err
	}
	db, err := sql.Open("postgres", s.urlOf(name))
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

// urlOf is the server's URL with another database.
func (s *server) urlOf(database string) string {
	u, err := url.Parse(s.url)
	if err != nil {
		return s.url
	}
	u.Path = "/" + database
	return u.String()
}

package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/internal/pgenv"
)

// patience bounds each operation; other tests may keep the machine busy.
const patience = 60 * time.Second

// session is this test binary's use of a server.
type session struct {
	*server
	// place is the prefix of all test binaries' databases on this server, run this one's.
	place, run string
	admin      *sql.DB
	strategy   string
	settings   [][2]string
	templates  atomic.Int64
	clones     atomic.Int64
}

var (
	mu      sync.Mutex
	asked   bool
	current *session
	failure error
)

func shared() (*session, error) {
	mu.Lock()
	defer mu.Unlock()
	if !asked {
		asked = true
		current, failure = open(context.Background())
	}
	return current, failure
}

func open(ctx context.Context) (*session, error) {
	pgenv.Clear()
	candidates, err := candidates(os.Getenv("TEST_DATABASE_WAY"), os.Getenv("TEST_DATABASE_URL") != "")
	if err != nil {
		return nil, err
	}
	settings, err := defaultSettings()
	if err != nil {
		return nil, err
	}
	server, err := begin(ctx, candidates)
	if err != nil {
		return nil, err
	}
	s := &session{server: server, settings: settings}
	if err := s.connect(ctx); err != nil {
		err = fmt.Errorf("by %s: %w", server.by, err)
		if s.admin != nil {
			err = errors.Join(err, s.admin.Close())
		}
		return nil, errors.Join(err, server.end())
	}
	return s, nil
}

func (s *session) connect(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if s.admin, err = sql.Open("postgres", s.url); err != nil {
		return err
	}
	var version, database string
	var number int
	if err := s.admin.QueryRowContext(ctx,
		`SELECT current_setting('server_version'), current_setting('server_version_num')::integer, oid::text
		FROM pg_catalog.pg_database WHERE datname = current_database()`).
		Scan(&version, &number, &database); err != nil {
		return err
	}
	if number >= 150000 && !s.lasting {
		// Postgres 15 and later copy through WAL by default, which saves a checkpoint but
		// takes twice the processor time where nothing is synced.
		s.strategy = " STRATEGY file_copy"
	}
	s.place = "booking_test_" + database + "_"
	s.run = s.place + strings.ToLower(rand.Text()[:12]) + "_"
	fmt.Fprintf(os.Stderr, "pgtest: Postgres %s by %s\n", version, s.by)
	if len(s.settings) > 0 {
		fmt.Fprintf(os.Stderr, "pgtest: %s: %v\n", settingsVariable, s.settings)
	}
	if s.lasting {
		return s.sweep(ctx)
	}
	return nil
}

func stop() error {
	mu.Lock()
	defer mu.Unlock()
	if current == nil {
		return nil
	}
	var err error
	if current.lasting {
		err = current.dropAll()
	}
	return errors.Join(err, current.admin.Close(), current.end())
}

func (s *session) clone(t testing.TB, from string) string {
	t.Helper()
	name := fmt.Sprintf("%s%d", s.run, s.clones.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.create(ctx, name, from); err != nil {
		t.Fatalf("pgtest: clone: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.drop(ctx, name); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	databaseURL, err := s.urlOf(name)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return databaseURL
}

// makeTemplate's database refuses connections: Postgres copies only those without any.
func (s *session) makeTemplate(tp *Template) (string, error) {
	if tp.Sets == 0 && tp.Migrate == nil {
		return "template0", nil
	}
	ctx := context.Background()
	name := fmt.Sprintf("%stemplate%d", s.run, s.templates.Add(1))
	if err := s.within(ctx, func(ctx context.Context) error { return s.create(ctx, name, "template0") }); err != nil {
		return "", err
	}
	databaseURL, err := s.urlOf(name)
	if err != nil {
		return "", err
	}
	if err := tp.migrate(ctx, databaseURL); err != nil {
		return "", err
	}
	return name, s.within(ctx, func(ctx context.Context) error {
		if _, err := s.admin.ExecContext(ctx, `ALTER DATABASE "`+name+`" ALLOW_CONNECTIONS false`); err != nil {
			return err
		}
		// Migrate may have left connections open.
		_, err := s.admin.ExecContext(ctx,
			`SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = $1::text`, name)
		return err
	})
}

func (s *session) within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return do(ctx)
}

// Names have letters, digits and underscores only.
func (s *session) create(ctx context.Context, name, from string) error {
	for {
		_, err := s.admin.ExecContext(ctx, `CREATE DATABASE "`+name+`" TEMPLATE "`+from+`"`+s.strategy)
		if err == nil {
			break
		}
		// On a busy machine a session may take longer to end than Postgres waits.
		if sqlState(err) != "55006" || ctx.Err() != nil {
			return fmt.Errorf("create %s from %s: %w", name, from, err)
		}
	}
	// A copy does not inherit the settings of its template.
	return s.applySettings(ctx, name)
}

func (s *session) urlOf(database string) (string, error) {
	u, err := url.Parse(s.url)
	if err != nil {
		return "", fmt.Errorf("read the server's URL: %w", err)
	}
	u.Path = "/" + database
	return u.String(), nil
}

const settingsVariable = "TEST_DATABASE_SETTINGS"

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// defaultSettings are name=value pairs, separated by semicolons.
func defaultSettings() ([][2]string, error) {
	var settings [][2]string
	for _, pair := range strings.Split(os.Getenv(settingsVariable), ";") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !settingName.MatchString(name) {
			return nil, fmt.Errorf("%s has %q, which is not name=value", settingsVariable, pair)
		}
		settings = append(settings, [2]string{name, value})
	}
	return settings, nil
}

// applySettings sets defaults of the database, and of the role in that database, which
// precede both its and the role's own.
func (s *session) applySettings(ctx context.Context, database string) error {
	for _, setting := range s.settings {
		value := "'" + strings.ReplaceAll(setting[1], "'", "''") + "'"
		for _, target := range []string{`DATABASE "` + database + `"`,
			`ROLE CURRENT_USER IN DATABASE "` + database + `"`} {
			if _, err := s.admin.ExecContext(ctx, `ALTER `+target+` SET `+setting[0]+` = `+value); err != nil {
				return fmt.Errorf("set %s of %s: %w", setting[0], database, err)
			}
		}
	}
	return nil
}

// sweep drops the databases of killed test binaries from a server that others use too.
// Each binary holds an advisory lock on its run while connected, so a run with a free
// lock has ended. Such locks belong to one database, TEST_DATABASE_URL's, so its OID is
// part of the names.
func (s *session) sweep(ctx context.Context) error {
	// The lock lasts as long as this connection.
	conn, err := s.admin.Conn(ctx)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock(hashtextextended($1::text, 0))`, s.run); err != nil {
		return fmt.Errorf("lock this run: %w", err)
	}
	names, err := s.databases(ctx, s.place)
	if err != nil {
		return err
	}
	for _, name := range names {
		run := name[:strings.LastIndex(name, "_")+1]
		var over bool
		if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1::text, 0))`,
			run).Scan(&over); err != nil {
			return fmt.Errorf("look whether the run of %s is over: %w", name, err)
		}
		if !over {
			continue
		}
		if err := s.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// dropAll drops the template, and what tests that ended in a panic left.
func (s *session) dropAll() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	names, err := s.databases(ctx, s.run)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) databases(ctx context.Context, begin string) ([]string, error) {
	rows, err := s.admin.QueryContext(ctx,
		`SELECT datname::text FROM pg_catalog.pg_database WHERE starts_with(datname::text, $1::text)`, begin)
	if err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// drop repeats on 55006: a session may take longer to end than Postgres waits.
func (s *session) drop(ctx context.Context, name string) error {
	for {
		err := s.dropOnce(ctx, name)
		if sqlState(err) == "55006" && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("drop %s: %w", name, err)
		}
		return nil
	}
}

func (s *session) dropOnce(ctx context.Context, name string) error {
	_, err := s.admin.ExecContext(ctx, `DROP DATABASE IF EXISTS "`+name+`" WITH (FORCE)`)
	if sqlState(err) == "42501" {
		// Only a superuser may end an autovacuum worker with FORCE; Postgres itself ends
		// it.
		_, err = s.admin.ExecContext(ctx, `DROP DATABASE IF EXISTS "`+name+`"`)
	}
	return err
}

func sqlState(err error) string {
	var refused interface{ SQLState() string }
	if errors.As(err, &refused) {
		return refused.SQLState()
	}
	return ""
}

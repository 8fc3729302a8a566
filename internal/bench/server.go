package main

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"

	_ "github.com/lib/pq" // The driver "postgres".

	"github.com/booking-platform/booking-platform/internal/embedded"
	"github.com/booking-platform/booking-platform/migrations"
)

func startServer(ctx context.Context, dir string) (*server, error) {
	s := &server{sockets: filepath.Join(dir, "sockets"), data: filepath.Join(dir, "cluster", "data")}
	// The account that runs Postgres creates its socket there; access needs the password.
	if err := os.Mkdir(s.sockets, 0o777); err != nil {
		return nil, err
	}
	if err := os.Chmod(s.sockets, 0o777); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, err
	}
	var err error
	s.Server, err = embedded.Start(ctx, filepath.Join(dir, "cluster"), embedded.Options{Settings: []string{
		"unix_socket_directories=" + s.sockets,
		"shared_buffers=1GB", "max_wal_size=8GB", "maintenance_work_mem=1GB", "checkpoint_timeout=30min",
		"autovacuum_naptime=10s", "shared_preload_libraries=pg_stat_statements",
	}})
	return s, err
}

func (s *server) url(database string, socket bool) string {
	u, _ := url.Parse(s.URL())
	u.Path = "/" + database
	query := u.Query()
	query.Set("binary_parameters", "yes")
	if socket {
		query.Set("host", s.sockets)
		query.Set("port", u.Port())
		u.Host = ""
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// admin connects as the cluster's owner, with the same password.
func (s *server) admin(database string) (*sql.DB, error) {
	u, _ := url.Parse(s.url(database, false))
	password, _ := u.User.Password()
	u.User = url.UserPassword("postgres", password)
	return sql.Open("postgres", u.String())
}

func (s *server) create(ctx context.Context, name string) error {
	admin, err := s.admin("postgres")
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	if _, err := admin.ExecContext(ctx, `CREATE DATABASE `+name+` OWNER booking`); err != nil {
		return err
	}
	db, err := s.open(name, false)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = migrations.Up(ctx, db, migrations.All)
	return err
}

func (s *server) drop(ctx context.Context, name string) error {
	admin, err := s.admin("postgres")
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	_, err = admin.ExecContext(ctx, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`)
	return err
}

func (s *server) open(database string, socket bool) (*sql.DB, error) {
	db, err := sql.Open("postgres", s.url(database, socket))
	if err == nil {
		db.SetMaxOpenConns(clients)
		db.SetMaxIdleConns(clients)
	}
	return db, err
}

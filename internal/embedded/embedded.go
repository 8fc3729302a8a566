// Package embedded runs a private Postgres for a program that has none.
//
// The problem is that a new user starts with `go run` on a machine with Go and git, and
// this project needs a real Postgres. So the host brings one: it uses the programs of
// this machine, or fetches them, and runs a cluster below a data folder.
//
//	server, err := embedded.Start(ctx, "./.data", embedded.Options{Logger: log})
//	…
//	db, err := sql.Open("postgres", server.URL())
//	…
//	err = server.Stop()
//
// Start runs the same executable again as a guard process, which runs Postgres and holds
// a pipe to its parent. When the parent ends, by kill -9 too, the pipe ends and the guard
// stops Postgres, on every operating system. The guard locks the data folder, and
// Postgres inherits the lock: a process that gets it knows that no earlier process is
// left.
//
// The server listens on a free TCP port of the loopback, with a random password in a file
// beside the data (0600), and on no Unix socket, whose path some systems limit to 104
// bytes.
//
// Postgres refuses to run as root. Root's server runs inside a user namespace, which can
// reach every folder that root can; without namespaces, as the owner of the data, as
// postgres or as nobody.
package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/booking-platform/booking-platform/internal/pgenv"
)

// Options configure [Start]. The zero value works.
type Options struct {
	// Logger gets steps that take time, such as a download; nil discards.
	Logger *slog.Logger
	// Ephemeral is for tests: nothing is synced to disk, the role booking may create
	// databases, and the folder is removed when the server stops, also after a kill -9.
	Ephemeral bool
	Programs  Source
	// Repository is a Maven repository with the programs; empty is Maven Central.
	Repository string
	// Settings are name=value, for measurements.
	Settings []string
}

// Source is where Postgres's programs come from.
type Source int

const (
	// Anywhere is this machine's programs (14 or later), else fetched ones.
	Anywhere Source = iota
	// Machine is the programs on PATH and in the usual folders.
	Machine
	// Fetched is the programs in the user's cache folder, fetched if missing.
	Fetched
)

// Server is a running Postgres. It stops when this process ends, however it ends.
type Server struct {
	url, version, programs string
	stop                   func() error
}

var discard = slog.New(slog.DiscardHandler)

// Start runs a private Postgres with its data below dir, created if missing, and returns
// when the server accepts connections. With Ephemeral, an empty dir is a new temporary
// folder.
//
// It returns a [*HeldError] if another live process uses the folder; other errors name a
// remedy and include the end of Postgres's log. The end of ctx ends the attempt, not a
// started server. The first start takes about a second, plus a download; later ones a
// tenth.
//
// Start removes libpq's variables (PGHOST, PGSERVICE, …) from the environment of this
// process: drivers would read them.
func Start(ctx context.Context, dir string, opts Options) (*Server, error) {
	pgenv.Clear()
	if opts.Logger == nil {
		opts.Logger = discard
	}
	dir, err := makeFolder(dir, opts.Ephemeral)
	if err != nil {
		return nil, fmt.Errorf("embedded: make the data folder: %w", err)
	}
	server, err := start(ctx, dir, opts)
	if err != nil {
		if opts.Ephemeral {
			_ = os.RemoveAll(dir)
		}
		return nil, fmt.Errorf("embedded: %w", err)
	}
	return server, nil
}

func start(ctx context.Context, dir string, opts Options) (*Server, error) {
	programs, err := choose(ctx, dir, opts)
	if err != nil {
		return nil, err
	}
	g, err := startGuard(order{
		Dir: dir, Programs: programs.Folder, Ephemeral: opts.Ephemeral, Settings: opts.Settings,
		Holder: holder{PID: os.Getpid(), Program: filepath.Base(os.Args[0])},
	})
	if err != nil {
		return nil, err
	}
	url, err := g.ready(ctx)
	if err != nil {
		_ = g.stop()
		return nil, err
	}
	opts.Logger.DebugContext(ctx, "embedded Postgres runs", "version", programs.Version, "programs", programs.Folder,
		"data", dir)
	return &Server{url: url, version: programs.Version, programs: programs.Folder, stop: sync.OnceValue(g.stop)}, nil
}

// URL returns a postgres://… URL with the password. Its role booking may create
// extensions and schemas in the database booking_platform.
func (s *Server) URL() string { return s.url }

// Version returns the programs' version, such as 16.9.
func (s *Server) Version() string { return s.version }

// Programs returns their folder.
func (s *Server) Programs() string { return s.programs }

// Stop ends the server and its connections, within half a minute.
func (s *Server) Stop() error { return s.stop() }

func makeFolder(dir string, ephemeral bool) (string, error) {
	if dir == "" && ephemeral {
		return os.MkdirTemp("", "booking-postgres-")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o700)
}

// Running returns the URL of the server that another process runs on a folder, for a
// command that got a [*HeldError]. It fails if the folder cannot be read or the server
// has not started yet.
func Running(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("embedded: find the server: %w", err)
	}
	password, err := os.ReadFile(filepath.Join(dir, passwordFile))
	if err != nil {
		return "", fmt.Errorf("embedded: find the server: %w", err)
	}
	pidFile, err := os.ReadFile(filepath.Join(dir, dataFolder, "postmaster.pid"))
	if err != nil {
		return "", fmt.Errorf("embedded: find the server: %w", err)
	}
	lines := strings.Split(string(pidFile), "\n")
	if len(lines) < 4 {
		return "", fmt.Errorf("embedded: the server in %s is about to start: try again", dir)
	}
	port, err := strconv.Atoi(strings.TrimSpace(lines[3]))
	if err != nil {
		return "", fmt.Errorf("embedded: the server in %s is about to start: try again", dir)
	}
	return serverURL(owner, string(password), port, database), nil
}

func serverURL(role, password string, port int, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/booking-platform/booking-platform/internal/pgenv"
)

// Options are what [Start] can be told. The zero value works.
type Options struct {
	// Logger is told what takes time, such as a download. nil discards.
	Logger *slog.Logger
	// Ephemeral is for tests: nothing is synced to disk, the role booking may create
	// databases, and the folder is removed when the server stops, after a kill -9 of this
	// process too.
	Ephemeral bool
	// Programs says where Postgres's programs may come from.
	Programs Source
	// Repository is the Maven repository that programs are fetched from. Empty is Maven
	// Central.
	Repository string
	// Settings are given to the server besides ours, as name=value, and win over them:
	// for who measures it.
	Settings []string
}

// Source says where Postgres's programs come from.
type Source int

const (
	// Anywhere takes the programs of this machine (14 or later), else fetches some.
	Anywhere Source = iota
	// Machine takes those on PATH and in the usual folders only.
	Machine
	// Fetched takes those in the user's cache folder only, and fetches what is missing
	// there.
	Fetched
)

// Server is a running Postgres. It stops when this process ends, however it ends.
type Server struct {
	url, version, programs string
	stop                   func() error
}

var discard = slog.New(slog.DiscardHandler)

// Start runs a private Postgres whose data lives below dir, which is made when it is
// missing, and returns when it can be used. With Ephemeral, dir may be empty: it is then
// a new folder among the temporary ones.
//
// A folder that another process holds is a [*HeldError]; one whose holder has died a
// moment ago is waited for. Other errors say what to do, and carry the end of Postgres's
// log. Ending ctx ends the attempt, not a server that has started. Every step is bounded;
// the first start takes about a second, a later one a tenth, plus the download where
// there are no programs.
//
// The variables of libpq (PGHOST, PGSERVICE, …) are taken out of this process's
// environment: a driver that connects to the server would read them.
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

// URL is where the server is: postgres://…, for lib/pq and pgx, with the role booking and
// its database booking_platform. It carries the password and belongs in no log. The role
// may create extensions and schemas there.
func (s *Server) URL() string { return s.url }

// Version is that of the programs, such as 16.9.
func (s *Server) Version() string { return s.version }

// Programs is the folder of the programs that run.
func (s *Server) Programs() string { return s.programs }

// Stop ends the server and whoever is connected to it, and returns when it is gone, in
// half a minute at the most. A second call answers as the first.
func (s *Server) Stop() error { return s.stop() }

// makeFolder returns dir as an absolute path to a folder that exists.
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

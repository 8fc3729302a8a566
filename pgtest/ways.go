package pgtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/booking-platform/booking-platform/internal/embedded"
)

type server struct {
	url string
	by  string
	// lasting: the server outlives this test binary, which has to remove what it created.
	lasting bool
	end     func() error
}

type way struct {
	name  string
	begin func(context.Context) (*server, error)
}

var ways = []way{{"url", byURL}, {"container", byContainer}, {"programs", byPrograms}, {"fetched", byFetched}}

// begin gets a server by the first way that works, and prints why the ones before do not.
func begin(ctx context.Context, candidates []way) (*server, error) {
	var tried []error
	for _, w := range candidates {
		s, err := w.begin(ctx)
		if err == nil {
			for _, reason := range tried {
				fmt.Fprintln(os.Stderr, "pgtest: not", reason)
			}
			return s, nil
		}
		tried = append(tried, fmt.Errorf("by %s: %w", w.name, err))
	}
	return nil, fmt.Errorf("none of these ways works:\n%w", errors.Join(tried...))
}

// candidates returns the ways to try. A URL that is set is the only one.
func candidates(forced string, withURL bool) ([]way, error) {
	if forced == "" {
		if withURL {
			return ways[:1], nil
		}
		return ways[1:], nil
	}
	var names []string
	for _, w := range ways {
		if w.name == forced {
			return []way{w}, nil
		}
		names = append(names, w.name)
	}
	return nil, fmt.Errorf("TEST_DATABASE_WAY is %q: it is one of %s", forced, strings.Join(names, ", "))
}

func byURL(context.Context) (*server, error) {
	text := os.Getenv("TEST_DATABASE_URL")
	if text == "" {
		return nil, errors.New("TEST_DATABASE_URL is not set")
	}
	// The error of Parse would include the password.
	if u, err := url.Parse(text); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("TEST_DATABASE_URL is no postgres://… URL")
	}
	return &server{url: text, by: "TEST_DATABASE_URL", lasting: true, end: func() error { return nil }}, nil
}

func byPrograms(ctx context.Context) (*server, error) { return byEmbedded(ctx, embedded.Machine) }

func byFetched(ctx context.Context) (*server, error) { return byEmbedded(ctx, embedded.Fetched) }

func byEmbedded(ctx context.Context, source embedded.Source) (*server, error) {
	dir, described, err := clusterFolder(memoryFolder, freeMemory)
	if err != nil {
		return nil, err
	}
	// The server removes the folder when it stops, Start when it fails.
	s, err := embedded.Start(ctx, dir, embedded.Options{
		Ephemeral:  true,
		Programs:   source,
		Repository: os.Getenv("EMBEDDED_POSTGRES_REPOSITORY"),
		Logger:     slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return nil, err
	}
	return &server{url: s.URL(), by: "programs in " + s.Programs() + ", " + described, end: s.Stop}, nil
}

// memoryFolder is a file system in memory on most Linux machines. On a disk, creating and
// dropping databases costs more than the tests themselves.
const memoryFolder = "/dev/shm"

// enoughMemory is free space for the cluster of one test binary, with others beside it:
// WAL takes up to 1 GiB, a database 10 MB. Containers have 64 MB by default, which is too
// little.
const enoughMemory = 2 << 30

// clusterFolder makes the folder for a server, in memory if there is enough, and
// describes it.
func clusterFolder(memory string, free func(string) (uint64, error)) (dir, described string, err error) {
	if room, err := free(memory); err == nil && room >= enoughMemory {
		if dir, err := os.MkdirTemp(memory, "booking-postgres-"); err == nil {
			return dir, "data in memory (" + memory + ")", nil
		}
	}
	dir, err = os.MkdirTemp("", "booking-postgres-")
	return dir, "data in " + filepath.Dir(dir), err
}

package testdb

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// server is the Postgres of this test binary.
type server struct {
	// url is where databases are created and dropped.
	url string
	// by says where the server comes from, for people.
	by string
	// lasting tells that the server outlives this test binary, and must be left as it was
	// found.
	lasting bool
	end     func() error
}

// way is one of the ways of getting a server.
type way struct {
	name  string
	begin func(context.Context) (*server, error)
}

var ways = []way{{"url", byURL}, {"container", byContainer}, {"programs", byPrograms}, {"fetched", byFetched}}

// begin gets a server by the first way that works, and says why those before it do not.
func begin(ctx context.Context, candidates []way) (*server, error) {
	var tried []error
	for _, w := range candidates {
		s, err := w.begin(ctx)
		if err == nil {
			for _, reason := range tried {
				fmt.Fprintln(os.Stderr, "testdb: not", reason)
			}
			return s, nil
		}
		tried = append(tried, fmt.Errorf("by %s: %w", w.name, err))
	}
	return nil, fmt.Errorf("none of these ways works:\n%w", errors.Join(tried...))
}

// candidates are the ways to try. A URL that is set is meant: what it cannot do, no other
// server does in its place.
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
	// The error of Parse would show the password.
	if u, err := url.Parse(text); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("TEST_DATABASE_URL is no postgres://… URL")
	}
	return &server{url: text, by: "TEST_DATABASE_URL", lasting: true, end: func() error { return nil }}, nil
}

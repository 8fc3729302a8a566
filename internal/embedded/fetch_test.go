//go:build unix

package embedded_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/embedded"
)

// fetching starts a server with fetched programs, in an empty home.
func fetching(t *testing.T, home, repository string) *running {
	t.Helper()
	opts := embedded.Options{Ephemeral: true, Programs: embedded.Fetched, Repository: repository}
	return spawn(t, life{Opts: opts}, nil, "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, "cache"))
}

func TestFetch_Once(t *testing.T) {
	t.Parallel()
	home, source := open(t), newRepository(t)
	// As root: the programs are where the server may not look.
	require.NoError(t, os.Chmod(home, 0o700))
	host := fetching(t, home, source.URL)
	require.Empty(t, host.Error)
	require.True(t, strings.HasPrefix(host.Programs, home), host.Programs)
	remember(t, host.URL, 0)
	source.Close()
	again := fetching(t, home, source.URL)
	require.Empty(t, again.Error)
	remember(t, again.URL, 0)
	require.EqualValues(t, 1, source.downloads.Load())
	require.Len(t, listing(t, filepath.Dir(filepath.Dir(host.Programs))), 2,
		"the programs and the lock, and nothing that was left over")
}

func TestFetch_Concurrent(t *testing.T) {
	t.Parallel()
	home, source := open(t), newRepository(t)
	t.Run("group", func(t *testing.T) {
		for range 4 {
			t.Run("one", func(t *testing.T) {
				t.Parallel()
				host := fetching(t, home, source.URL)
				require.Empty(t, host.Error)
				remember(t, host.URL, 0)
			})
		}
	})
	require.EqualValues(t, 1, source.downloads.Load())
}

// A bad download is refused, and does not affect the next one.
func TestFetch_BadDownload(t *testing.T) {
	t.Parallel()
	home, source := open(t), newRepository(t)
	good := *source.jar.Load()
	archive := tarOf(t, runnable(t))
	broken := runnable(t)
	broken["bin/postgres"] = "#!/bin/sh\necho wrong machine >&2\nexit 126\n"
	lacking := runnable(t)
	delete(lacking, "bin/initdb")

	serve := func(h http.HandlerFunc) { source.handle.Store(&h) }
	for name, prepare := range map[string]func(){
		"not there":   func() { serve(http.NotFound) },
		"not a jar":   func() { source.jar.Store(ptr([]byte("<html>login</html>"))) },
		"flipped":     func() { source.jar.Store(ptr(bytes.Replace(good, []byte("exec"), []byte("exic"), 1))) },
		"cut inside":  func() { source.jar.Store(ptr(jarWith(t, xz(archive)[:len(archive)/2]))) },
		"cut outside": func() { source.jar.Store(ptr(good[:len(good)/2])) },
		"cut by the network": func() {
			serve(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(len(good)))
				_, _ = w.Write(good[:len(good)/2])
			})
		},
		"another checksum": func() {
			serve(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, ".sha256") {
					_, _ = w.Write([]byte(strings.Repeat("0", 64)))
					return
				}
				_, _ = w.Write(good)
			})
		},
		"does not run": func() { source.jar.Store(ptr(jarOf(t, tarOf(t, broken)))) },
		"lacks initdb": func() { source.jar.Store(ptr(jarOf(t, tarOf(t, lacking)))) },
	} {
		source.handle.Store(nil)
		prepare()
		host := fetching(t, home, source.URL)
		require.NotEmpty(t, host.Error, name)
		require.Contains(t, host.Error, "none could be fetched", name)
		require.Contains(t, host.Error, "STORAGE_DRIVER=db", name)
	}
	source.handle.Store(nil)
	source.jar.Store(&good)
	host := fetching(t, home, source.URL)
	require.Empty(t, host.Error)
	remember(t, host.URL, 0)
}

func TestFetch_NoServer(t *testing.T) {
	t.Parallel()
	source := newRepository(t)
	source.Close()
	require.Contains(t, fetching(t, open(t), source.URL).Error, "unable to connect to "+source.URL)
}

func TestFetch_Stalled(t *testing.T) {
	t.Parallel()
	home, source := open(t), newRepository(t)
	var stall http.HandlerFunc = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	source.handle.Store(&stall)
	host := spawn(t, life{Opts: embedded.Options{Ephemeral: true, Programs: embedded.Fetched, Repository: source.URL},
		Patience: time.Second},
		nil, "HOME="+home, "XDG_CACHE_HOME="+home)
	require.Contains(t, host.Error, context.DeadlineExceeded.Error())
	// The download has ended with its parent's patience: the next one does not wait for
	// it.
	source.handle.Store(nil)
	next := spawn(t, life{Opts: embedded.Options{Ephemeral: true, Programs: embedded.Fetched, Repository: source.URL}},
		nil, "HOME="+home, "XDG_CACHE_HOME="+home)
	require.Empty(t, next.Error)
}

func ptr(b []byte) *[]byte { return &b }

func listing(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

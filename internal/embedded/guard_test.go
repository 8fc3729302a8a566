package embedded_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/embedded"
)

func TestGuard_HostKilled(t *testing.T) {
	t.Parallel()
	dir := open(t)
	// Variables that would mislead Postgres.
	astray := []string{"PGPORT=1", "PGDATA=/nowhere", "PGOPTIONS=--nonsense", "PGHOST=/nowhere"}
	for start := range 3 {
		host := spawn(t, life{Dir: dir}, nil, astray...)
		require.Empty(t, host.Error)
		remember(t, host.URL, start)
		host.kill()
		if start == 1 {
			requireGone(t, host.URL)
		}
		// Otherwise the next one comes while the server is still being stopped.
	}
	server, err := embedded.Start(t.Context(), dir, embedded.Options{})
	require.NoError(t, err)
	remember(t, server.URL(), 3)
	require.NoError(t, server.Stop())
}

func TestStop_HostAskedToStop(t *testing.T) {
	t.Parallel()
	host := spawn(t, life{Dir: open(t)}, nil)
	require.Empty(t, host.Error)
	require.NoError(t, host.in.Close())
	require.NoError(t, host.cmd.Wait())
	requireGone(t, host.URL)
}

func TestStart_StalePostmasterPid(t *testing.T) {
	t.Parallel()
	dir := open(t)
	server, err := embedded.Start(t.Context(), dir, embedded.Options{})
	require.NoError(t, err)
	remember(t, server.URL(), 0)
	require.NoError(t, server.Stop())
	// As left when everything is killed, with the number of a process that exists: this
	// one.
	stale := strconv.Itoa(os.Getpid()) + "\n" + filepath.Join(dir, "data") + "\n1700000000\n5432\n\n127.0.0.1\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), []byte(stale), 0o600))
	server, err = embedded.Start(t.Context(), dir, embedded.Options{})
	require.NoError(t, err)
	remember(t, server.URL(), 1)
	require.NoError(t, server.Stop())
}

// The server comes back at the same address, with its data.
func TestGuard_ServerKilled(t *testing.T) {
	t.Parallel()
	dir := open(t)
	server, err := embedded.Start(t.Context(), dir, embedded.Options{})
	require.NoError(t, err)
	for start := range 3 {
		remember(t, server.URL(), start)
		before := postmaster(t, dir)
		process, err := os.FindProcess(before)
		require.NoError(t, err)
		require.NoError(t, process.Kill())
		eventually(t, "another server runs",
			func() bool { return postmaster(t, dir) != before && ping(t, server.URL()) == nil })
	}
	require.NoError(t, server.Stop())
	requireGone(t, server.URL())
}

func postmaster(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0])
	if err != nil {
		return 0
	}
	return pid
}

func TestStart_FolderHeld(t *testing.T) {
	t.Parallel()
	dir := open(t)
	first := spawn(t, life{Dir: dir}, nil)
	require.Empty(t, first.Error)
	_, err := embedded.Start(t.Context(), dir, embedded.Options{})
	var held *embedded.HeldError
	require.ErrorAs(t, err, &held)
	require.Equal(t, first.cmd.Process.Pid, held.PID)
	require.WithinDuration(t, time.Now(), held.Since, time.Minute)
	require.Contains(t, err.Error(), dir)
	require.Contains(t, err.Error(), "process "+strconv.Itoa(first.cmd.Process.Pid)+" (test), since ")
	require.Contains(t, err.Error(), "DATA_DIR")
	running, err := embedded.Running(dir)
	require.NoError(t, err)
	require.Equal(t, first.URL, running, "a command beside it may ask it")
	_, err = embedded.Running(t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
	remember(t, first.URL, 0)
}

func TestStart_ConcurrentHosts(t *testing.T) {
	t.Parallel()
	dir := open(t)
	results := make(chan error, 4)
	servers := make(chan *embedded.Server, 4)
	for range cap(results) {
		go func() {
			server, err := embedded.Start(t.Context(), dir, embedded.Options{})
			if err == nil {
				servers <- server
			}
			results <- err
		}()
	}
	refused := 0
	for range cap(results) {
		if err := <-results; err != nil {
			require.ErrorAs(t, err, new(*embedded.HeldError))
			refused++
		}
	}
	require.Equal(t, cap(results)-1, refused)
	require.NoError(t, (<-servers).Stop())
}

func TestStop_EphemeralFolderRemoved(t *testing.T) {
	t.Parallel()
	parent := open(t)
	stopped, killed := filepath.Join(parent, "stopped"), filepath.Join(parent, "killed")
	server, err := embedded.Start(t.Context(), stopped, embedded.Options{Ephemeral: true})
	require.NoError(t, err)
	require.DirExists(t, stopped)
	require.NoError(t, server.Stop())
	require.NoDirExists(t, stopped)

	host := spawn(t, life{Dir: killed, Opts: embedded.Options{Ephemeral: true}}, nil)
	require.Empty(t, host.Error)
	host.kill()
	eventually(t, "the folder is gone", func() bool {
		_, err := os.Stat(killed)
		return errors.Is(err, os.ErrNotExist)
	})
	requireGone(t, host.URL)
}

func TestStart_ContextEnds(t *testing.T) {
	t.Parallel()
	dir := open(t)
	// At several moments of a first start, initdb included.
	for _, after := range []time.Duration{1, 50, 200, 400} {
		ctx, cancel := context.WithTimeout(t.Context(), after*time.Millisecond)
		server, err := embedded.Start(ctx, dir, embedded.Options{})
		cancel()
		if err == nil {
			require.NoError(t, server.Stop())
			continue
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	server, err := embedded.Start(t.Context(), dir, embedded.Options{})
	require.NoError(t, err)
	remember(t, server.URL(), 0)
	require.NoError(t, server.Stop())
}

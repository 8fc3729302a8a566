package embedded_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/embedded"
)

func TestStart_ErrorHasEndOfLog(t *testing.T) {
	t.Parallel()
	dir := open(t)
	server, err := embedded.Start(t.Context(), dir, embedded.Options{})
	require.NoError(t, err)
	require.NoError(t, server.Stop())
	config := filepath.Join(dir, "data", "postgresql.conf")
	good, err := os.ReadFile(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(config, append(good, "\nno_such_setting = on\n"...), 0o600))
	_, err = embedded.Start(t.Context(), dir, embedded.Options{})
	require.ErrorContains(t, err, "no_such_setting")
	require.Equal(t, 1, strings.Count(err.Error(), "unrecognized configuration parameter"), "this start's log only: %v",
		err)

	require.NoError(t, os.WriteFile(config, good, 0o600))
	server, err = embedded.Start(t.Context(), dir, embedded.Options{})
	require.NoError(t, err, "what failed has let go of the folder")
	remember(t, server.URL(), 0)
	require.NoError(t, server.Stop())
}

func TestStart_PasswordMissing(t *testing.T) {
	t.Parallel()
	dir := open(t)
	server, err := embedded.Start(t.Context(), dir, embedded.Options{})
	require.NoError(t, err)
	require.NoError(t, server.Stop())
	require.NoError(t, os.Remove(filepath.Join(dir, "password")))
	_, err = embedded.Start(t.Context(), dir, embedded.Options{})
	require.ErrorContains(t, err, "restore it, or choose another folder")
}

func TestStart_PortTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	err = embedded.RunOn(t.Context(), open(t), taken.Addr().(*net.TCPAddr).Port)
	require.ErrorIs(t, err, embedded.ErrPortTaken)
}

func TestExplain_Remedies(t *testing.T) {
	t.Parallel()
	ended := errors.New("exit status 1")
	for said, remedy := range map[string]string{
		"FATAL:  could not write lock file \"postmaster.pid\": No space left on device":     "the disk is full",
		"initdb: error: could not create directory \"data\": Permission denied":             "a permission is missing",
		"FATAL:  could not write to file \"pg_wal/xlogtemp.29\": Disk quota exceeded":       "the disk quota is used up",
		"LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use\nFATAL: …": "no port",
		"PANIC:  something else": "exit status 1; Postgres says",
	} {
		err := embedded.Explain([]byte(said+"\n"), ended)
		require.ErrorContains(t, err, remedy)
		require.ErrorContains(t, err, said)
		require.ErrorIs(t, err, ended)
	}
	long := embedded.Explain([]byte("the beginning"+strings.Repeat("x", 1<<20)+"the end"), ended).Error()
	require.Less(t, len(long), 4096)
	require.NotContains(t, long, "the beginning")
	require.Contains(t, long, "the end")
}

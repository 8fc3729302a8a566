//go:build unix

package embedded_test

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/embedded"
)

// As in a clone below /root: a closed folder in a closed folder.
func TestStart_FolderClosedToOthers(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(open(t), "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	twice(t, filepath.Join(closed, "clone", "data"), nil)
}

func TestStart_OrdinaryUser(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(open(t), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	twice(t, dir, ordinary(t, dir))
}

// Root works on an ordinary user's data, and the user can continue with it.
func TestStart_RootAndUserInTurn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(open(t), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	user := ordinary(t, dir)
	for start, as := range []*syscall.SysProcAttr{user, nil, user} {
		host := spawn(t, life{Dir: dir}, as)
		require.Empty(t, host.Error)
		remember(t, host.URL, start)
		host.kill()
	}
}

// M32: containers may run as a number without an entry in /etc/passwd. Without user
// namespaces the error names a remedy.
func TestStart_UserWithoutPasswdEntry(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		// Root alone can become such a user.
		return
	}
	const number = 54321
	_, err := user.LookupId(strconv.Itoa(number))
	require.Error(t, err)
	dir := filepath.Join(open(t), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chown(dir, number, number))
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: number, Gid: number}}
	host := spawn(t, life{Dir: dir}, as)
	if host.Error != "" {
		require.Contains(t, host.Error, "add a line for its number to /etc/passwd")
		return
	}
	remember(t, host.URL, 0)
	host.kill()
	requireGone(t, host.URL)
	info, err := os.Stat(filepath.Join(dir, "data"))
	require.NoError(t, err)
	require.EqualValues(t, number, info.Sys().(*syscall.Stat_t).Uid, "the data is that user's")
	host = spawn(t, life{Dir: dir}, as)
	require.Empty(t, host.Error)
	remember(t, host.URL, 1)
}

// M32
func TestExplain_UserWithoutName(t *testing.T) {
	t.Parallel()
	err := embedded.Explain([]byte("initdb: error: could not look up effective user ID 54321: user does not exist\n"),
		errors.New("exit status 1"))
	require.ErrorContains(t, err, "add a line for its number to /etc/passwd")
	require.ErrorContains(t, err, "54321")
}

// M32: neither the server nor its clients use the caller's variables.
func TestStart_CallersVariables(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(open(t), "data")
	host := spawn(t, life{Dir: dir, Ask: true}, nil,
		"PGDATESTYLE=German", "PGCLIENTENCODING=LATIN1", "PGSERVICE=nowhere", "PGSERVICEFILE=/nowhere",
		"PGOPTIONS=-c search_path=evil",
		"PGHOST=192.0.2.1", "PGHOSTADDR=192.0.2.1", "PGPORT=1", "PGUSER=x", "PGDATABASE=x", "PGPASSWORD=x",
		"PGTZ=Asia/Kolkata", "PGSSLMODE=verify-full",
		"PGDATA=/nowhere", "PGCHANNELBINDING=require", "PGGSSENCMODE=require", "PGREQUIREAUTH=none",
		"PGCONNECT_TIMEOUT=soon",
		"PGTARGETSESSIONATTRS=standby", "PGAPPNAME=x", "LC_ALL=tr_TR.UTF-8", "LC_MESSAGES=de_DE.UTF-8",
		"LANG=tr_TR.UTF-8", "TZ=Asia/Kolkata")
	require.Empty(t, host.Error)
	require.Equal(t, `booking, booking_platform, ISO, MDY, UTF8, UTC, "$user", public, C, C, UTF8`, host.Settings)
}

func TestStart_FolderOfAnotherUser(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(open(t), "data")
	user := ordinary(t, dir)
	require.NoError(t, os.Mkdir(dir, 0o500))
	host := spawn(t, life{Dir: dir}, user)
	require.Contains(t, host.Error, "permission denied")
	require.Contains(t, host.Error, dir)
}

func twice(t *testing.T, dir string, as *syscall.SysProcAttr) {
	t.Helper()
	for start := range 2 {
		host := spawn(t, life{Dir: dir, Opts: embedded.Options{}}, as)
		require.Empty(t, host.Error)
		remember(t, host.URL, start)
		host.kill()
		requireGone(t, host.URL)
	}
}

// ordinary gives the folder to the user nobody if this is root, else to this one.
func ordinary(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	nobody, err := user.Lookup("nobody")
	require.NoError(t, err)
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	require.NoError(t, err)
	if _, err := os.Stat(dir); err == nil {
		require.NoError(t, os.Chown(dir, int(uid), int(gid)))
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

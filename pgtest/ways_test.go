package pgtest_test

import (
	"bufio"
	"database/sql"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/pgtest"
)

func TestCandidates_Order(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		forced  string
		withURL bool
		want    []string
	}{
		{"", false, []string{"container", "programs", "fetched"}},
		{"", true, []string{"url"}},
		{"url", true, []string{"url"}},
		{"container", true, []string{"container"}},
		{"programs", false, []string{"programs"}},
		{"fetched", false, []string{"fetched"}},
	} {
		got, err := pgtest.Candidates(c.forced, c.withURL)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	_, err := pgtest.Candidates("docker", true)
	require.EqualError(t, err, `TEST_DATABASE_WAY is "docker": it is one of url, container, programs, fetched`)
}

func TestBegin_FirstThatWorks(t *testing.T) {
	t.Parallel()
	by, err := pgtest.Begin(errors.New("no engine"), nil, errors.New("not reached"))
	require.NoError(t, err)
	require.Equal(t, "way 1", by)
	_, err = pgtest.Begin(errors.New("no engine"), errors.New("no programs"))
	require.EqualError(t, err, "none of these ways works:\nby way 0: no engine\nby way 1: no programs")
}

func TestBegin_BrokenWayFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ env, says string }{
		{"TEST_DATABASE_URL=postgres://none@127.0.0.1:1/none?sslmode=disable", "by TEST_DATABASE_URL: "},
		{"TEST_DATABASE_URL=host=localhost", "TEST_DATABASE_URL is no postgres://… URL"},
		{"TEST_DATABASE_WAY=url", "by url: TEST_DATABASE_URL is not set"},
		{"TEST_DATABASE_WAY=docker", "TEST_DATABASE_WAY is"},
		{"TEST_DATABASE_WAY=container POSTGRES_IMAGE=127.0.0.1:1/none", "by container: "},
		{"TEST_DATABASE_WAY=fetched EMBEDDED_POSTGRES_REPOSITORY=http://127.0.0.1:1 HOME=/nowhere XDG_CACHE_HOME=/proc/nowhere LocalAppData=/nowhere", "by fetched: "},
	} {
		b := start(t, strings.Fields(c.env)...)
		require.Contains(t, b.says, c.says, c.env)
		require.Error(t, b.end(), c.env)
		require.NotContains(t, b.says, "geheim")
	}
}

// Test binaries drop the databases of a killed one, and no others.
func TestSweep_KilledTestBinary(t *testing.T) {
	t.Parallel()
	server := pgtest.URL(t)
	here := "TEST_DATABASE_URL=" + server
	living, killed := start(t, here), start(t, here)
	require.Equal(t, 2, count(t, server, living.says))
	require.NoError(t, killed.cmd.Process.Kill())
	_ = killed.cmd.Wait()
	require.Equal(t, 2, count(t, server, killed.says), "its databases are still there")

	next := start(t, here)
	require.Zero(t, count(t, server, killed.says))
	require.Equal(t, 2, count(t, server, living.says))
	for _, b := range []*binary{next, living} {
		require.NoError(t, b.end())
		require.Zero(t, count(t, server, b.says))
	}
}

func count(t *testing.T, server, begin string) (n int) {
	t.Helper()
	require.True(t, strings.HasPrefix(begin, "booking_test_"), begin)
	db, err := sql.Open("postgres", server)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	require.NoError(t, db.QueryRowContext(t.Context(),
		`SELECT count(*) FROM pg_catalog.pg_database WHERE starts_with(datname::text, $1::text)`, begin).Scan(&n))
	return n
}

// binary is another test binary.
type binary struct {
	cmd  *exec.Cmd
	in   io.Closer
	says string
}

// start runs one until it has its databases or has failed.
func start(t *testing.T, env ...string) *binary {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "TEST_DATABASE_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(append(cmd.Env, env...), holdVariable+"=1")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	b := &binary{cmd: cmd, in: in}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(out)
	b.says, err = lines.ReadString('\n')
	require.NoError(t, err)
	b.says = strings.TrimSpace(b.says)
	if strings.HasPrefix(b.says, "failed:") {
		rest, _ := io.ReadAll(lines)
		b.says += "\n" + string(rest)
	}
	return b
}

// end lets it finish.
func (b *binary) end() error {
	_ = b.in.Close()
	return b.cmd.Wait()
}

package embedded_test

import (
	"database/sql"
	"net"
	"net/url"
	"testing"

	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/embedded"
)

func TestStart_DataIsKept(t *testing.T) {
	t.Parallel()
	dir := open(t)
	for start := range 3 {
		server, err := embedded.Start(t.Context(), dir, embedded.Options{})
		require.NoError(t, err)
		remember(t, server.URL(), start)
		require.NoError(t, server.Stop())
		requireGone(t, server.URL())
	}
}

// remember adds a row and expects all earlier ones.
func remember(t *testing.T, url string, start int) {
	t.Helper()
	db, err := sql.Open("postgres", url)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(t.Context(), `CREATE TABLE IF NOT EXISTS public.starts (start int)`)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), `INSERT INTO public.starts (start) VALUES ($1)`, start)
	require.NoError(t, err)
	var rows int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM public.starts`).Scan(&rows))
	require.Equal(t, start+1, rows)
}

func requireGone(t *testing.T, serverURL string) {
	t.Helper()
	u, err := url.Parse(serverURL)
	require.NoError(t, err)
	eventually(t, "nothing listens at "+u.Host, func() bool {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			return true
		}
		_ = conn.Close()
		return false
	})
}

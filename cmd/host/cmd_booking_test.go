package main_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// M3: links are printed for bookings named by id, and for others only with --links.
func TestRenewLinks_NamedAndMany(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "SESSION_SECRET": oldSecret, "DATA_DIR": t.TempDir()}
	h := startHost(t, env)
	ada := h.client()
	var all []created
	for i := range 3 {
		all = append(all, ada.book("studio", mustTime(t, ada.slot(2*i)), false))
	}
	run := func(args ...string) string {
		t.Helper()
		status, stdout, stderr := command(t, env, append([]string{"booking", "renew-links"}, args...)...)
		require.Equal(t, 0, status, stderr)
		return stdout
	}
	opens := func(id, link string) {
		t.Helper()
		u := mustURL(t, link)
		require.Equal(t, http.StatusOK, ada.get("/api/bookings/"+id+"?token="+u.Query().Get("token")).status)
	}
	require.Equal(t, "0 links renewed\n", run())
	require.JSONEq(t, `{"renewed":0}`, run("--json"))
	require.Equal(t, http.StatusOK, ada.get("/api/bookings/"+all[0].ID+"?token="+all[0].Token).status)
	require.Equal(t, "0 links renewed\n", run("--secret", "0123456789ab"))
	id, _, _ := strings.Cut(all[0].Token, "-")
	require.Equal(t, "3 links renewed\n", run("--secret", id))
	for _, b := range all {
		require.Equal(t, http.StatusNotFound, ada.get("/api/bookings/"+b.ID+"?token="+b.Token).status)
	}
	lines := strings.Split(strings.TrimSpace(run("--all", "--links", "--json")), "\n")
	require.Len(t, lines, 3)
	var line struct{ ID, Email, FirstName, Link string }
	for i, b := range all {
		require.NoError(t, json.Unmarshal([]byte(lines[i]), &line))
		require.Equal(t, b.ID, line.ID)
		require.Equal(t, "ada@example.com", line.Email)
		opens(b.ID, line.Link)
	}
	require.Equal(t, "1 link renewed\n", run("--all", "--after", all[1].ID))
	table := run("--all", "--links")
	require.Regexp(t, `^BOOKING +START +E-MAIL +LINK\n`+all[0].ID+` +\S+Z +ada@example.com +http\S+\n`, table)
	require.Contains(t, table, "\n3 links renewed\n")
	named := strings.Fields(run(all[1].ID))
	opens(all[1].ID, named[len(named)-1])
	require.NoError(t, json.Unmarshal([]byte(run("--json", all[2].ID)), &line))
	opens(all[2].ID, line.Link)

	for _, args := range [][]string{{}, {"x"}, {"renew-links", "--all", "--secret", id},
		{"renew-links", "--all", all[0].ID}, {"renew-links", "-x"}} {
		status, stdout, stderr := command(t, env, append([]string{"booking"}, args...)...)
		require.Equal(t, 2, status, args)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "host: booking")
	}
	for want, args := range map[string][]string{
		`there is no booking "x"`:        {"x"},
		"--secret must be the id":        {"--secret", "old"},
		"--after must be the id":         {"--all", "--after", "x"},
		"SESSION_SECRET has a secret of": nil,
	} {
		with := env
		if args == nil {
			with = map[string]string{"DATABASE_URL": env["DATABASE_URL"], "SESSION_SECRET": "short"}
		}
		status, stdout, stderr := command(t, with, append([]string{"booking", "renew-links"}, args...)...)
		require.Equal(t, map[bool]int{false: 1, true: 2}[strings.HasPrefix(want, "--")], status)
		require.Empty(t, stdout)
		require.Contains(t, stderr, want)
	}
}

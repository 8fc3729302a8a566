package main_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who did it stands on the line of what was done, on the API's and on a page's; who is
// not known has none.
func TestAccessLineNamesTheUser(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.client().get("/api/bookings")
	admin := h.admin()
	admin.get("/api/bookings")
	admin.get("/dashboard")
	var me struct{ User struct{ ID string } }
	admin.get("/auth/me").into(t, &me)
	require.NotEmpty(t, me.User.ID)
	require.NoError(t, h.stop())

	seen := map[string][]string{}
	for line := range strings.Lines(h.log.String()) {
		var l struct {
			Msg, Path string
			UserID    string `json:"user_id"`
		}
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "request" {
			seen[l.Path] = append(seen[l.Path], l.UserID)
		}
	}
	require.Equal(t, []string{"", me.User.ID}, seen["/api/bookings"])
	require.Equal(t, []string{me.User.ID}, seen["/dashboard"])
}

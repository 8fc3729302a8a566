package main_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The id of a Checkout Session opens its customer's page, with the link that cancels and
// moves. Who may only read is not told it anywhere; the customer and those who may renew
// the link are.
func TestReadersAreNotToldSessionIDs(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	var b created
	ada.post("/api/bookings", wish(ada.slot(0), nil)).into(t, &b)
	_, err := h.StripeFake().Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	require.Contains(t, ada.get("/api/bookings/"+b.ID+"?token="+b.Token).body, b.StripeSessionID)
	for role, told := range map[string]bool{"READONLY": false, "SOMETHING": false, "OPS": true, "ADMIN": true} {
		_, err := h.db.Exec(`UPDATE booking_platform.users SET role = $1`, role)
		require.NoError(t, err)
		c := h.admin()
		for _, path := range []string{"/payments", "/api/bookings/" + b.ID} {
			a := c.get(path)
			require.Equal(t, 200, a.status)
			require.Contains(t, a.body, `"stripeSessionId"`)
			if told {
				require.Contains(t, a.body, b.StripeSessionID, "%s %s", role, path)
			} else {
				require.NotContains(t, a.body, "cs_", "%s %s", role, path)
			}
		}
		for _, path := range []string{"/api/bookings", "/reservations", "/dashboard",
			"/api/bookings/" + b.ID + "/calendar.ics"} {
			require.NotContains(t, c.get(path).body, "cs_", "%s %s", role, path)
		}
	}
}
